package lambdahost_test

import (
	"os"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/internal/lambdahost"
)

func TestBuildFlagsAreThoseOfTheScript(t *testing.T) {
	script, err := os.ReadFile("../../build.sh")
	if err != nil {
		t.Fatal(err)
	}
	flags := lambdahost.BuildFlags
	if want := "go build " + strings.Join(flags[:5], " ") + " '" + flags[5] + "' "; !strings.Contains(string(script), want) {
		t.Errorf("scripts/build.sh does not build with %q: what is tested is not what ships", want)
	}
}
