package docker

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	defer os.RemoveAll(tree)
	archive := exec.CommandContext(ctx, "tar", "-C", tree, "-c", ".")
	archive.Stderr = os.Stderr
	content, err := archive.Output()
	if err != nil {
		return "", fmt.Errorf("pack the image's files: %w", err)
	}
	_, err = e.Docker(ctx, bytes.NewReader(content), "import", "--platform", "linux/"+strings.Replace(architecture, "x86_64", "amd64", 1),
		"--change", "ENV PATH=/usr/local/bin:/usr/bin:/bin:/opt/bin LAMBDA_TASK_ROOT=/var/task LAMBDA_RUNTIME_DIR=/var/runtime",
		"--change", "WORKDIR /var/task", "-", tag)
	return tag + ", a substitute made of busybox: the image registry is out of reach", err
}

// Where Debian puts the files of the substitute.
const (
	busybox      = "/bin/busybox"
	certificates = "/etc/ssl/certs/ca-certificates.crt"
)

// substitute writes the image's files into a folder.
func substitute() (folder string, err error) {
	program, err := os.ReadFile(busybox)
	if err != nil || !isStatic(program) {
		return "", missing("a static busybox", "apt-get install busybox-static")
	}
	roots, err := os.ReadFile(certificates)
	if err != nil {
		return "", missing(certificates, "apt-get install ca-certificates")
	}
	if folder, err = os.MkdirTemp("", "image-"); err != nil {
		return "", fmt.Errorf("folder of the image: %w", err)
	}
	return folder, Fill(folder, program, roots)
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

// applets are the programs that SAM runs when it adds its emulator, and a few for
// looking into a container.
var applets = []string{"sh", "mv", "chmod", "cp", "rm", "mkdir", "cat", "ls", "env"}

// Fill writes a minimal root file system into a folder: busybox, and certificates
// where Go and Amazon Linux look for them.
func Fill(folder string, program, roots []byte) error {
	var errs []error
	for _, name := range []string{"bin", "etc/ssl/certs", "etc/pki/tls/certs", "opt", "tmp", "var/task", "var/runtime", "var/rapid"} {
		errs = append(errs, os.MkdirAll(filepath.Join(folder, name), 0o755))
	}
	errs = append(errs, os.Chmod(folder, 0o755), os.Chmod(filepath.Join(folder, "tmp"), 0o777|os.ModeSticky),
		os.WriteFile(filepath.Join(folder, "bin/busybox"), program, 0o755))
	for _, applet := range applets {
		errs = append(errs, os.Symlink("busybox", filepath.Join(folder, "bin", applet)))
	}
	for name, content := range map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/group": "root:x:0:\n", "etc/nsswitch.conf": "hosts: files dns\n",
		"etc/ssl/certs/ca-certificates.crt": string(roots), "etc/pki/tls/certs/ca-bundle.crt": string(roots),
	} {
		errs = append(errs, os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644))
	}
	return errors.Join(errs...)
}
