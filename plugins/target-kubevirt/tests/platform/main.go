// Decodes manifests strictly with the types of KubeVirt, CDI and Kubernetes themselves: check FILE...
//
// What a virtual machine's template says of the instance is decoded once more: its own type has an UnmarshalJSON that lets every name pass.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	kubevirt "kubevirt.io/api/core/v1"
	cdi "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	strict "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// The same members without the method.
type instance kubevirt.VirtualMachineInstanceSpec

type checker struct{ decoder runtime.Decoder }

func newChecker() (*checker, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{kubevirt.AddToScheme, cdi.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	return &checker{serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()}, nil
}

func (c *checker) document(text []byte) error {
	if _, _, err := c.decoder.Decode(text, nil, nil); err != nil {
		return err
	}
	var outer struct {
		Kind string `json:"kind"`
		Spec struct {
			Template struct {
				Spec json.RawMessage `json:"spec"`
			} `json:"template"`
		} `json:"spec"`
	}
	converted, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(converted, &outer); err != nil {
		return err
	}
	if outer.Kind != "VirtualMachine" {
		return nil
	}
	problems, err := strict.UnmarshalStrict(outer.Spec.Template.Spec, &instance{})
	return errors.Join(append(problems, err)...)
}

func (c *checker) file(path string) (int, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	documents := utilyaml.NewDocumentDecoder(file)
	count := 0
	for {
		// Larger than any document here: what does not fit is an error of Read.
		buffer := make([]byte, 1<<20)
		length, err := documents.Read(buffer)
		if err == io.EOF {
			return count, nil
		}
		if err != nil {
			return count, err
		}
		text := bytes.TrimPrefix(buffer[:length], []byte("---\n"))
		if err := c.document(text); err != nil {
			return count, fmt.Errorf("%s: %w\n%s", path, err, text)
		}
		count++
	}
}

// A check that refuses nothing would prove nothing.
func (c *checker) refuses() error {
	for _, wrong := range []string{
		"apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nspec: {runStrategi: Halted}\n",
		"apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nspec: {template: {spec: {domain: {devices: {disks: [{name: a, bootorder: 1}]}}}}}\n",
		"apiVersion: cdi.kubevirt.io/v1beta1\nkind: DataVolume\nspec: {storage: {storageClass: x}}\n",
	} {
		if c.document([]byte(wrong)) == nil {
			return fmt.Errorf("this was taken:\n%s", wrong)
		}
	}
	return nil
}

func main() {
	checker, err := newChecker()
	if err == nil {
		err = checker.refuses()
	}
	count := 0
	for _, path := range os.Args[1:] {
		if err != nil {
			break
		}
		var found int
		found, err = checker.file(path)
		count += found
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("KubeVirt and CDI take %d documents of %d files\n", count, len(os.Args)-1)
}
