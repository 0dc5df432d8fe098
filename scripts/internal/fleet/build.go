package fleet

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The functions that a fleet runs, by their folders.
const (
	Vend        = "vend"
	Renew       = "renew"
	Connections = "connections"
)

const module = "github.com/tokenvend/tokenvend/"

// Build builds the executables into folder for this machine, with the flags of
// scripts/build.sh: tests run what ships.
func Build(ctx context.Context, folder string) error {
	for _, function := range []string{Vend, Renew, Connections} {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc",
			"-ldflags", "-s -w", "-o", bootstrap(folder, function), module+"functions/"+function)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS=", "GOARCH=")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w: %s", function, err, strings.TrimSpace(string(out)))
		}
	}
	return nil
}

func bootstrap(folder, function string) string { return filepath.Join(folder, function, "bootstrap") }
