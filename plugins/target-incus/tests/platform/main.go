// Holds instances against Incus' own checks of configuration, and against the keys that its devices take. It is built inside of Incus' sources, whose packages are
// not for others:
//
//	check SOURCES FILE.yaml...    each key and value
//	check --table SOURCES         keys.json, the table that the fast tests use, to stdout
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v2"

	"github.com/lxc/incus/v6/internal/instance"
	"github.com/lxc/incus/v6/shared/api"
)

// Devices of a kind check their keys where nobody else can call it, so the keys are read from the sources.
var devices = map[string]struct {
	files []string
	key   *regexp.Regexp
}{
	"nic":  {[]string{"nic.go"}, regexp.MustCompile(`(?m)^\t\t"([a-z0-9_.]+)":\s+(?:validate\.|networkValid)`)},
	"disk": {[]string{"disk.go"}, regexp.MustCompile(`(?m)^\t\t"([a-z0-9_.]+)":\s+validate\.`)},
	"tpm":  {[]string{"tpm.go"}, regexp.MustCompile(`rules\["([a-z]+)"\]`)},
}

// Keys that every device, or the choice of its kind, has.
var common = map[string][]string{"nic": {"type", "nictype"}, "disk": {"type"}, "tpm": {"type"}}

func keys(sources string) (map[string][]string, error) {
	found := map[string][]string{}
	for kind, about := range devices {
		all := slices.Clone(common[kind])
		for _, name := range about.files {
			text, err := os.ReadFile(filepath.Join(sources, "internal/server/device", name))
			if err != nil {
				return nil, err
			}
			for _, match := range about.key.FindAllStringSubmatch(string(text), -1) {
				all = append(all, match[1])
			}
		}
		if len(all) < 3 {
			return nil, fmt.Errorf("the keys of %s were not found in Incus' sources", kind)
		}
		slices.Sort(all)
		found[kind] = slices.Compact(all)
	}
	return found, nil
}

func check(file string, devices map[string][]string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var put api.InstancePut
	if err := yaml.UnmarshalStrict(text, &put); err != nil {
		return err
	}
	for key, value := range put.Config {
		valid, err := instance.ConfigKeyChecker(key, api.InstanceTypeVM)
		if err != nil {
			return err
		}
		if err := valid(value); err != nil {
			return fmt.Errorf("%s: %q: %w", key, value, err)
		}
	}
	for name, device := range put.Devices {
		known, ok := devices[device["type"]]
		if !ok {
			return fmt.Errorf("%s: a device of the type %q", name, device["type"])
		}
		for key := range device {
			if !slices.Contains(known, key) {
				return fmt.Errorf("%s: a %s has no %q", name, device["type"], key)
			}
		}
	}
	return nil
}

func table(devices map[string][]string) map[string]any {
	var config []string
	for _, all := range []map[string]func(string) error{instance.InstanceConfigKeysAny, instance.InstanceConfigKeysVM} {
		for key := range all {
			config = append(config, key)
		}
	}
	slices.Sort(config)
	return map[string]any{"config": config, "devices": devices}
}

func run(words []string) error {
	if len(words) > 1 && words[0] == "--table" {
		devices, err := keys(words[1])
		if err != nil {
			return err
		}
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(table(devices))
	}
	if len(words) < 2 {
		return fmt.Errorf("usage: check [--table] SOURCES FILE.yaml...")
	}
	devices, err := keys(words[0])
	if err != nil {
		return err
	}
	// The metadata of an image is another document.
	files := slices.DeleteFunc(words[1:], func(file string) bool { return strings.HasSuffix(file, "metadata.yaml") })
	for _, file := range files {
		if err := check(file, devices); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	fmt.Printf("%d instances are as Incus takes them\n", len(files))
	return nil
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
