package measure

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const module = "github.com/tokenvend/tokenvend/"

// BootstrapFlags are those of scripts/build.sh: what is measured is what ships.
var BootstrapFlags = []string{"-trimpath", "-buildvcs=false", "-tags", "lambda.norpc", "-ldflags", "-s -w"}

// built are the paths of the executables that are measured.
type built struct{ folder, vend, hello, local, bare string }

// build makes them in folder, for this machine, whatever ARCH says elsewhere.
func build(ctx context.Context, folder string) (built, error) {
	b := built{folder: folder}
	for _, program := range []struct {
		path  *string
		from  string
		flags []string
	}{
		{&b.vend, "functions/vend", BootstrapFlags},
		{&b.hello, "scripts/bench/testdata/hello", BootstrapFlags},
		{&b.local, "scripts/tokenvend", nil},
		{&b.bare, "scripts/bench/testdata/bare", nil},
	} {
		*program.path = filepath.Join(folder, filepath.Base(program.from), "bootstrap")
		if err := goBuild(ctx, *program.path, program.from, program.flags); err != nil {
			return built{}, err
		}
	}
	return b, nil
}

// goBuild builds one package of this module.
func goBuild(ctx context.Context, path, from string, flags []string) error {
	args := append([]string{"build", "-o", path}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, module+from)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOOS=", "GOARCH=")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", from, err, strings.TrimSpace(string(said)))
	}
	return nil
}
