// Command pack makes what deploys without Go: a zip of each built function, and the
// template with these zips in place of the functions' folders; or the zip of a layer with
// the agent.
//
// A packaged template is for one architecture, because its zips are. Zips hold no times
// and no other trace of the machine, so two builds of one source are equal.
package main

import (
	"archive/zip"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

func main() {
	arch := flag.String("arch", "arm64", "architecture of the bootstraps: arm64 or x86_64")
	out := flag.String("out", "build/package/arm64", "folder of the package")
	layer := flag.String("layer", "", "instead, pack this program as the layer with the agent, into the file -out")
	flag.Parse()
	err := packLayer(*layer, *out)
	if *layer == "" {
		err = pack(".", *arch, *out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

// extension is the path of the agent in a layer; Lambda starts what is in that folder.
const extension = "extensions/tokenvend-agent"

// packLayer writes the zip of a layer; an empty program is none.
func packLayer(program, out string) error {
	if program == "" {
		return nil
	}
	zipped, err := zipProgram(program, extension)
	if err != nil {
		return err
	}
	return os.WriteFile(out, zipped, 0o644)
}

// pack writes the package of the tree in root, whose functions are built.
func pack(root, arch, out string) error {
	text, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		return err
	}
	packaged, functions, err := packagedTemplate(text, arch)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, function := range functions {
		zipped, err := zipProgram(filepath.Join(root, "build", function, "bootstrap"), "bootstrap")
		if err != nil {
			return fmt.Errorf("function %s: %w", function, err)
		}
		if err := os.WriteFile(filepath.Join(out, function+".zip"), zipped, 0o644); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(out, "template.yaml"), packaged, 0o644)
}

var (
	codeURI      = regexp.MustCompile(`(?m)^      CodeUri: functions/(\w+)/$`)
	buildMethod  = regexp.MustCompile(`(?m)^    Metadata: \{ BuildMethod: go1\.x \}\n`)
	architecture = regexp.MustCompile(`(?m)^    Default: arm64\n    AllowedValues: \[arm64, x86_64\]$`)
)

// packagedTemplate returns the template with the zips beside it as the functions' code,
// and the names of the functions. Other architectures than the zips' are not allowed.
func packagedTemplate(text []byte, arch string) (packaged []byte, functions []string, err error) {
	if arch != "arm64" && arch != "x86_64" {
		return nil, nil, fmt.Errorf("the architecture is %q; Lambda has arm64 and x86_64", arch)
	}
	for _, match := range codeURI.FindAllSubmatch(text, -1) {
		functions = append(functions, string(match[1]))
	}
	built := len(buildMethod.FindAll(text, -1))
	if len(functions) == 0 || built != len(functions) || len(architecture.FindAll(text, -1)) != 1 {
		return nil, nil, errors.New("template.yaml does not have the form that is packaged: functions with CodeUri and BuildMethod, and the parameter Architecture")
	}
	text = codeURI.ReplaceAll(text, []byte("      CodeUri: ${1}.zip"))
	text = buildMethod.ReplaceAll(text, nil)
	text = architecture.ReplaceAll(text, []byte("    Default: "+arch+"\n    AllowedValues: ["+arch+"]"))
	return text, functions, nil
}

// zipProgram returns a zip that Lambda takes: one executable of that name.
func zipProgram(path, name string) ([]byte, error) {
	program, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	header := &zip.FileHeader{Name: name, Method: zip.Deflate}
	header.SetMode(0o755)
	var zipped bytes.Buffer
	w := zip.NewWriter(&zipped)
	file, err := w.CreateHeader(header)
	if err != nil {
		return nil, err
	}
	if _, err := file.Write(program); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return zipped.Bytes(), nil
}
