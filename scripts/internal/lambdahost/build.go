package lambdahost

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

const module = "github.com/tokenvend/tokenvend/"

// BuildFlags are those of scripts/build.sh: what is tested and measured is what
// ships.
var BuildFlags = []string{"-trimpath", "-buildvcs=false", "-tags", "lambda.norpc", "-ldflags", "-s -w"}

// Build builds a package of this module, "functions/vend" for example, into a
// file for this machine.
func Build(ctx context.Context, file, pkg string) error {
	args := append(append([]string{"build"}, BuildFlags...), "-o", file, module+pkg)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS=", "GOARCH=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", pkg, err, strings.TrimSpace(string(out)))
	}
	return nil
}
