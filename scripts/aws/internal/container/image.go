package container

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

	"github.com/tokenvend/tokenvend/scripts/aws/internal/provision"
)

// registryPatience is how long a registry may take to deliver the image before
// it counts as out of reach.
const registryPatience = 3 * time.Minute

// Image is the tag that SAM runs functions of that architecture in, as SAM
// writes architectures: x86_64 or arm64.
func Image(architecture string) string {
	return "public.ecr.aws/lambda/provided:al2023-" + architecture
}

// Prepare sees to it that the image is there: as it is, from the registry, or,
// where none is in reach, a stand-in made from this machine's busybox. It
// returns in words which of them.
//
// The stand-in is as good for our functions, which are static and bring their
// own runtime: all that they use of the image is its certificates. SAM itself
// runs a shell, mv and chmod in it.
func (e *Engine) Prepare(ctx context.Context, architecture string) (string, error) {
	tag := Image(architecture)
	if _, err := e.Docker(ctx, nil, "image", "inspect", tag); err == nil {
		return tag + ", as it was there", nil
	}
	registry, cancel := context.WithTimeout(ctx, registryPatience)
	defer cancel()
	_, unreachable := e.Docker(registry, nil, "pull", "--quiet", tag)
	if unreachable == nil {
		return tag + ", from the registry", nil
	}
	tree, err := standIn()
	if err != nil {
		return "", errors.Join(unreachable, err)
	}
	_, err = e.Docker(ctx, tree, "import", "--platform", "linux/"+strings.Replace(architecture, "x86_64", "amd64", 1),
		"--change", "ENV PATH=/usr/local/bin:/usr/bin:/bin:/opt/bin LAMBDA_TASK_ROOT=/var/task LAMBDA_RUNTIME_DIR=/var/runtime",
		"--change", "WORKDIR /var/task", "-", tag)
	return tag + ", a stand-in made of busybox, since no image registry is in reach", err
}

// Where Debian puts what the stand-in is made of.
const (
	busybox      = "/bin/busybox"
	certificates = "/etc/ssl/certs/ca-certificates.crt"
)

// standIn is the image's file tree as a tar archive.
func standIn() (*bytes.Buffer, error) {
	program, err := os.ReadFile(busybox)
	if err != nil || !isStatic(program) {
		return nil, provision.Missing("a static busybox", "apt-get install busybox-static")
	}
	roots, err := os.ReadFile(certificates)
	if err != nil {
		return nil, provision.Missing(certificates, "apt-get install ca-certificates")
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

// applets are what SAM runs when it adds its emulator, and what helps a person
// who looks into a container.
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
		return nil, fmt.Errorf("pack the stand-in's files: %w", err)
	}
	return &out, nil
}
