package measure

import (
	"context"
	"path/filepath"

	"github.com/tokenvend/tokenvend/scripts/internal/lambdahost"
)

// built are the paths of the executables that are measured.
type built struct{ folder, vend, hello, local, bare string }

// build makes them in folder, for this machine.
func build(ctx context.Context, folder string) (built, error) {
	b := built{folder: folder}
	for path, pkg := range map[*string]string{
		&b.vend: "functions/vend", &b.hello: "scripts/bench/testdata/hello",
		&b.local: "scripts/tokenvend", &b.bare: "scripts/bench/testdata/bare",
	} {
		*path = filepath.Join(folder, filepath.Base(pkg), "bootstrap")
		if err := lambdahost.Build(ctx, *path, pkg); err != nil {
			return built{}, err
		}
	}
	return b, nil
}
