package engine

import (
	"context"
	"io"
	"os/exec"
	"path/filepath"
)

// Moto starts moto's server from the folder of the programs of its virtual
// environment.
func Moto(ctx context.Context, programs string, output io.Writer) (*Server, error) {
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	return serve(ctx, "moto", port, output, exec.Command(filepath.Join(programs, "moto_server"), "-H", "127.0.0.1", "-p", port))
}
