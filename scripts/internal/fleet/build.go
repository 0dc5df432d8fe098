package fleet

import (
	"context"
	"path/filepath"

	"github.com/tokenvend/tokenvend/scripts/internal/lambdahost"
)

// The functions that a fleet runs, by their folders.
const (
	Vend        = "vend"
	Renew       = "renew"
	Connections = "connections"
)

// Build builds the executables into folder for this machine, as they ship.
func Build(ctx context.Context, folder string) error {
	for _, function := range []string{Vend, Renew, Connections} {
		if err := lambdahost.Build(ctx, bootstrap(folder, function), "functions/"+function); err != nil {
			return err
		}
	}
	return nil
}

func bootstrap(folder, function string) string { return filepath.Join(folder, function, "bootstrap") }
