package lambdahost_test

import (
	"os"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/internal/lambdahost"
)

func TestGoFlagsAreThoseOfTheScripts(t *testing.T) {
	flags, err := os.ReadFile("../../tools/goflags")
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(flags)); got != lambdahost.GoFlags {
		t.Errorf("scripts/tools/goflags is %q, want %q: what is tested is not what ships", got, lambdahost.GoFlags)
	}
	for _, script := range []string{"../../build.sh", "../../deploy.sh"} {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "GOFLAGS=$(cat scripts/tools/goflags)") {
			t.Errorf("%s does not build with scripts/tools/goflags", script)
		}
	}
}
