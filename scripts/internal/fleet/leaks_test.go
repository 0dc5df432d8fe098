package fleet_test

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
)

const canary = `synthetic+canary/%3D&:="é" of a secret`

func TestFormsOfALeak(t *testing.T) {
	for name, text := range map[string]string{
		"INV-5 as it is":             "x" + canary + "y",
		"INV-5 in JSON":              `{"a":"synthetic+canary/%3D\u0026:=\"é\" of a secret"}`,
		"INV-5 in a query":           url.QueryEscape(canary),
		"INV-5 in a path":            url.PathEscape(canary),
		"INV-5 as Basic credentials": base64.StdEncoding.EncodeToString([]byte("client:" + canary)),
	} {
		t.Run(name, func(t *testing.T) {
			if found := fleet.LeaksIn([]string{canary}, text, text); len(found) != 1 {
				t.Errorf("found %q, want one", found)
			}
		})
	}
}

func TestWhatIsNoLeak(t *testing.T) {
	texts := []string{"a short text", canary[1:], ""}
	if found := fleet.LeaksIn([]string{canary, "short"}, texts...); len(found) > 0 {
		t.Errorf("found %q", found)
	}
}

func TestALeakInTwoPieces(t *testing.T) {
	found := fleet.LeaksAcross(canary, strings.Repeat("line\n", 2000), canary[:9], canary[9:])
	if len(found) != 1 {
		t.Errorf("INV-5: found %q, want one", found)
	}
}
