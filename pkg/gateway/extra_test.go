package gateway_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/extra"
	"github.com/tokenvend/tokenvend/pkg/provider"
)

// TestExtraAndPresent: what else a caller gets, where there is something to say.
func TestExtraAndPresent(t *testing.T) {
	bearer := provider.Present{Header: "Authorization", Prefix: "Bearer "}
	for name, tt := range map[string]struct {
		extra   extra.Values
		present provider.Present
		want    [2]any
	}{
		"OC-72 nothing":         {nil, provider.Present{}, [2]any{}},
		"OC-72 the default":     {nil, bearer, [2]any{}},
		"OC-72 another header":  {nil, provider.Present{Header: "X-Access"}, [2]any{nil, map[string]any{"header": "X-Access", "prefix": ""}}},
		"OC-72 text and number": {extra.Values{"host": "<a>&", "n": json.Number("1.50")}, bearer, [2]any{map[string]any{"host": "<a>&", "n": 1.5}, nil}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newVend(t)
			e.core.vended = freshToken()
			e.core.vended.Extra, e.core.vended.Present = tt.extra, tt.present
			got := e.invoke(restEvent()).object(t)
			if diff := cmp.Diff(tt.want, [2]any{got["extra"], got["present"]}); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
		})
	}
}
