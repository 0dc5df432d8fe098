package lambdahost

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

const module = "github.com/tokenvend/tokenvend/"

// GoFlags is GOFLAGS as scripts/tools/goflags has it: what is tested and measured
// is what ships.
const GoFlags = `-trimpath -buildvcs=false -tags=lambda.norpc "-ldflags=-s -w"`

// Build builds a package of this module, "functions/vend" for example, into a
// file for this machine.
func Build(ctx context.Context, file, pkg string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", file, module+pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS="+GoFlags, "GOOS=", "GOARCH=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", pkg, err, strings.TrimSpace(string(out)))
	}
	return nil
}
