// Holds manifests of `batch export kubernetes` against the API server's own code: strict decoding, defaults, validation. job FILE...
//
// What the server itself fills in before it validates, the selector and the labels of the pods, is filled in here the same way.
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	"k8s.io/kubernetes/pkg/apis/batch"
	_ "k8s.io/kubernetes/pkg/apis/batch/install"
	batchvalidation "k8s.io/kubernetes/pkg/apis/batch/validation"
	"k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	corevalidation "k8s.io/kubernetes/pkg/apis/core/validation"
)

func check(decoder runtime.Decoder, text []byte) error {
	object, _, err := decoder.Decode(text, nil, nil)
	if err != nil {
		return err
	}
	var found field.ErrorList
	switch object := object.(type) {
	case *batch.Job:
		object.Namespace, object.UID = "default", "uid"
		labels := map[string]string{
			"controller-uid": "uid", "job-name": object.Name,
			"batch.kubernetes.io/controller-uid": "uid", "batch.kubernetes.io/job-name": object.Name,
		}
		object.Spec.Template.Labels = labels
		object.Spec.Selector = &meta.LabelSelector{MatchLabels: map[string]string{"batch.kubernetes.io/controller-uid": "uid"}}
		found = batchvalidation.ValidateJob(object, batchvalidation.JobValidationOptions{RequirePrefixedLabels: true})
	case *core.ConfigMap:
		object.Namespace = "default"
		found = corevalidation.ValidateConfigMap(object)
	default:
		return fmt.Errorf("%T is not expected here", object)
	}
	return found.ToAggregate()
}

func run(files []string) error {
	factory := serializer.NewCodecFactory(legacyscheme.Scheme, serializer.EnableStrict)
	decoder := factory.UniversalDecoder(batch.SchemeGroupVersion, core.SchemeGroupVersion)
	documents := 0
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
		for {
			document, err := reader.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			if len(bytes.TrimSpace(document)) == 0 {
				continue
			}
			if err := check(decoder, document); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			documents++
		}
	}
	if documents == 0 {
		return errors.New("no document was found")
	}
	fmt.Printf("%d documents are valid\n", documents)
	return nil
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
