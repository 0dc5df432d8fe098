// Command image makes a container image of the command's agent, without a container
// engine: the program and the CA certificates of Mozilla on an empty base, as a user
// without rights. Two images of one program are equal.
package main

import (
	"archive/tar"
	"bytes"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// The paths in the image. Go finds certificates there.
const (
	programPath      = "tokenvend-agent"
	certificatesPath = "etc/ssl/certs/ca-certificates.crt"
)

// user owns nothing in the image.
const user = "65532:65532"

func main() {
	program := flag.String("program", "", "the command for Linux")
	arch := flag.String("arch", "arm64", "its architecture: arm64 or amd64")
	out := flag.String("out", "", "the file to write, for docker load")
	flag.Parse()
	if err := write(*program, *arch, *out); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func write(program, arch, out string) error {
	text, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	image, err := build(text, arch)
	if err != nil {
		return err
	}
	tag, err := name.NewTag("tokenvend-agent:" + arch)
	if err != nil {
		return err
	}
	return tarball.WriteToFile(out, tag, image)
}

// build returns the image of a program.
func build(program []byte, arch string) (v1.Image, error) {
	files, err := archive(program)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files)), nil })
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	described, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	described = described.DeepCopy()
	described.OS, described.Architecture = "linux", arch
	described.Config = v1.Config{User: user, Entrypoint: []string{"/" + programPath}}
	return mutate.ConfigFile(image, described)
}

// archive has the files of the image, without times.
func archive(program []byte) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, file := range []struct {
		tar.Header
		text []byte
	}{
		{tar.Header{Name: programPath, Mode: 0o755}, program},
		{tar.Header{Name: certificatesPath, Mode: 0o644}, certificates()},
		{tar.Header{Name: "tmp/", Mode: 0o1777, Typeflag: tar.TypeDir}, nil}, // for the agent's token
	} {
		file.Size = int64(len(file.text))
		if err := w.WriteHeader(&file.Header); err != nil {
			return nil, err
		}
		if _, err := w.Write(file.text); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), w.Close()
}

// certificates are the roots that Mozilla trusts for servers. Those that it trusts only
// in part are left out, because a file of certificates cannot say so.
func certificates() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // memory
		}
	}
	return out.Bytes()
}
