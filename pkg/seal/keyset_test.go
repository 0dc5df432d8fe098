package seal_test

import (
	"strings"
	"testing"
)

func TestKeyset(t *testing.T) {
	const canary = "canary-0123456789-0123456789-0123456789"
	for _, tc := range []struct {
		name, keyset string
		// says is what the error must contain; empty means that the keyset is valid.
		says string
	}{
		{"AZ-52 one key", `{"primary":"k1","k1":"` + canary + `"}`, ""},
		{"AZ-52 a string of 32 bytes", `{"primary":"k1","k1":"` + canary[:32] + `"}`, ""},
		{"AZ-52 a string of 31 bytes", `{"primary":"k1","k1":"` + canary[:31] + `"}`, `member "k1" must be a random string of at least 32 bytes`},
		{"AZ-52 empty", ``, "is empty"},
		{"AZ-52 not JSON", canary, "is not JSON"},
		{"AZ-52 a string", `"` + canary + `"`, "must be a JSON object"},
		{"AZ-52 an array", `["` + canary + `"]`, "must be a JSON object"},
		{"AZ-52 no primary", `{"k1":"` + canary + `"}`, `needs the member "primary"`},
		{"AZ-52 a primary that is not a string", `{"primary":1,"k1":"` + canary + `"}`, `needs the member "primary"`},
		{"AZ-52 a primary that does not exist", `{"primary":"k2","k1":"` + canary + `"}`, "has no key of the name"},
		{"AZ-52 a primary that names itself", `{"primary":"primary","k1":"` + canary + `"}`, "has no key of the name"},
		{"AZ-52 a key instead of its name as primary", `{"primary":"` + canary + `","k1":"` + canary + `"}`, "has no key of the name"},
		{"AZ-52 no keys", `{"primary":"k1"}`, "has no key of the name"},
		{"AZ-52 a key that is not a string", `{"primary":"k1","k1":{"key":"` + canary + `"}}`, `member "k1" must be`},
		{"AZ-52 a key that is null", `{"primary":"k1","k1":null}`, `member "k1" must be`},
		{"AZ-52 a bad key beside a good one", `{"primary":"k1","k1":"` + canary + `","k2":"short"}`, `member "k2" must be`},
		{"AZ-52 a key as the name of a key", `{"primary":"k1","` + canary + `":"k1"}`, "has a key whose name"},
		{"AZ-52 an empty name", `{"primary":"","":"` + canary + `"}`, "has a key whose name"},
		{"AZ-52 a repeated name", `{"primary":"k1","k1":"` + canary + `","k1":"` + canary + `"}`, "k1"},
		{"AZ-52 text after it", `{"primary":"k1","k1":"` + canary + `"} "` + canary + `"`, "after its end"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := sealer(tc.keyset).Prefetch(t.Context())
			if tc.says == "" {
				if err != nil {
					t.Errorf("Prefetch: %v", err)
				}
				return
			}
			wantUnavailable(t, "Prefetch", err)
			if err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("error %q does not say %q", err, tc.says)
			}
			if err != nil && (strings.Contains(err.Error(), canary[:31]) || strings.Contains(err.Error(), "short")) {
				t.Errorf("AZ-53 error %q shows a value", err)
			}
		})
	}
}
