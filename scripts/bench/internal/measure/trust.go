package measure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// trust is the roots that a function on loopback trusts. The stub's authority
// is not among Amazon's nor the system's, so it is added to either: parsing and
// searching them then costs what it costs in AWS.
type trust struct {
	// amazon and system are the environments, NAME=value, for what ships and for a
	// variant with the system's roots.
	amazon, system []string
}

// systemBundles are where systems keep their roots in one file, as Go looks for them.
var systemBundles = []string{
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem",
}

func (b *bench) trust(ctx context.Context, c cloud) (trust, error) {
	root, err := sourceRoot(ctx)
	if err != nil {
		return trust{}, err
	}
	amazon, errAmazon := bundle(c, b.built.folder, "amazon-and-stub.pem", filepath.Join(root, "pkg/config/awsconfig/amazon.pem"))
	system, errSystem := bundle(c, b.built.folder, "system-and-stub.pem", systemBundle())
	// Without a folder of its own Go would parse what the system keeps as single
	// files too, which other systems do not have.
	none := filepath.Join(b.built.folder, "no-certificates")
	if err := errors.Join(errAmazon, errSystem, os.MkdirAll(none, 0o700)); err != nil {
		return trust{}, err
	}
	return trust{
		amazon: []string{"AWS_CA_BUNDLE=" + amazon},
		system: []string{"AWS_CA_BUNDLE=", "SSL_CERT_FILE=" + system, "SSL_CERT_DIR=" + none},
	}, nil
}

// systemBundle is the path of the system's roots; where there are none it is the
// first that was looked for, and reading it says so.
func systemBundle() string {
	for _, path := range append([]string{os.Getenv("SSL_CERT_FILE")}, systemBundles...) {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return systemBundles[0]
}

// bundle writes a file with the certificates of another one and the stub's.
func bundle(c cloud, folder, name, from string) (string, error) {
	roots, err := os.ReadFile(from)
	if err != nil {
		return "", fmt.Errorf("read the roots that are compared (they come with the package ca-certificates): %w", err)
	}
	stub, err := os.ReadFile(c.Bundle())
	if err != nil {
		return "", fmt.Errorf("read the stub's root: %w", err)
	}
	path := filepath.Join(folder, name)
	return path, os.WriteFile(path, bytes.Join([][]byte{roots, stub}, []byte("\n")), 0o600)
}
