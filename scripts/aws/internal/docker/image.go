package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// pullTimeout is how long a registry may take to deliver the image.
const pullTimeout = 3 * time.Minute

// Image is the tag that SAM runs functions of that architecture in, as SAM
// writes architectures: x86_64 or arm64.
func Image(architecture string) string {
	return "public.ecr.aws/lambda/provided:al2023-" + architecture
}

// Prepare gets the image from the engine, from the registry or, when the
// registry is out of reach, makes a substitute of this machine's busybox. It
// returns a description of what it got.
//
// The substitute suffices: the functions are static programs with a runtime of
// their own and use only the image's certificates. SAM runs a shell, mv and
// chmod in it.
func (e *Engine) Prepare(ctx context.Context, architecture string) (string, error) {
	tag := Image(architecture)
	if _, err := e.Docker(ctx, nil, "image", "inspect", tag); err == nil {
		return tag + ", from the engine", nil
	}
	registry, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	_, unreachable := e.Docker(registry, nil, "pull", "--quiet", tag)
	if unreachable == nil {
		return tag + ", from the registry", nil
	}
	tree, err := substitute()
	if err != nil {
		return "", errors.Join(unreachable, err)
	}
	_, err = e.Docker(ctx, tree, "import", "--platform", "linux/"+strings.Replace(architecture, "x86_64", "amd64", 1),
		"--change", "ENV PATH=/usr/local/bin:/usr/bin:/bin:/opt/bin LAMBDA_TASK_ROOT=/var/task LAMBDA_RUNTIME_DIR=/var/runtime",
		"--change", "WORKDIR /var/task", "-", tag)
	return tag + ", a substitute made of busybox: the image registry is out of reach", err
}

// Where Debian puts the files of the substitute.
const (
	busybox      = "/bin/busybox"
	certificates = "/etc/ssl/certs/ca-certificates.crt"
)

// substitute is the image's file tree as a tar archive.
func substitute() (*bytes.Buffer, error) {
	program, err := os.ReadFile(busybox)
	if err != nil || !isStatic(program) {
		return nil, missing("a static busybox", "apt-get install busybox-static")
	}
	roots, err := os.ReadFile(certificates)
	if err != nil {
		return nil, missing(certificates, "apt-get install ca-certificates")
	}
	return Tree(program, roots)
}

func isStatic(program []byte) bool {
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return false
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return false
		}
	}
	return true
}

// applets are the programs that SAM runs when it adds its emulator, and a few
// for looking into a container.
var applets = []string{"sh", "mv", "chmod", "cp", "rm", "mkdir", "cat", "ls", "env"}

// Tree is an archive of a minimal root file system: busybox, and certificates
// where Go and Amazon Linux look for them.
func Tree(program, roots []byte) (*bytes.Buffer, error) {
	var out bytes.Buffer
	t := tar.NewWriter(&out)
	add := func(h tar.Header, content []byte) error {
		h.Size = int64(len(content))
		err := t.WriteHeader(&h)
		if err == nil {
			_, err = t.Write(content)
		}
		return err
	}
	var err error
	for _, folder := range []string{"bin", "etc", "etc/ssl", "etc/ssl/certs", "etc/pki", "etc/pki/tls", "etc/pki/tls/certs",
		"opt", "var", "var/task", "var/runtime", "var/rapid"} {
		err = errors.Join(err, add(tar.Header{Typeflag: tar.TypeDir, Name: folder + "/", Mode: 0o755}, nil))
	}
	err = errors.Join(err, add(tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}, nil))
	err = errors.Join(err, add(tar.Header{Name: "bin/busybox", Mode: 0o755}, program))
	for _, applet := range applets {
		err = errors.Join(err, add(tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + applet, Linkname: "busybox", Mode: 0o777}, nil))
	}
	for name, content := range map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/group": "root:x:0:\n", "etc/nsswitch.conf": "hosts: files dns\n",
		"etc/ssl/certs/ca-certificates.crt": string(roots), "etc/pki/tls/certs/ca-bundle.crt": string(roots),
	} {
		err = errors.Join(err, add(tar.Header{Name: name, Mode: 0o644}, []byte(content)))
	}
	if err = errors.Join(err, t.Close()); err != nil {
		return nil, fmt.Errorf("pack the image's files: %w", err)
	}
	return &out, nil
}
