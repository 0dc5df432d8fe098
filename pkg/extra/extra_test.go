package extra_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/extra"
)

func TestAdd(t *testing.T) {
	kib := strings.Repeat("a", 1<<10)
	full := extra.Values{}
	for i := range extra.MaxNames {
		full[fmt.Sprint(i)] = true
	}
	tests := []struct {
		name  string
		have  extra.Values
		add   string
		value any
		want  bool
	}{
		{"OC-72 text", nil, "a", "b", true},
		{"OC-72 a number", nil, "a", json.Number("1e400"), true},
		{"OC-72 true or false", nil, "a", false, true},
		{"OC-72 null", nil, "a", nil, false},
		{"OC-72 a list", nil, "a", []any{"b"}, false},
		{"OC-72 an object", nil, "a", map[string]any{}, false},
		{"OC-72 no name", nil, "", "b", false},
		{"OC-72 not UTF-8", nil, "a", "\xff", false},
		{"OC-72 a KiB", nil, "a", kib, true},
		{"OC-72 more than a KiB", nil, "a", kib + "a", false},
		{"OC-72 digits of more than a KiB", nil, "a", json.Number(strings.Repeat("9", 1<<10+1)), false},
		{"OC-72 two KiB together", extra.Values{"a": kib}, "b", kib[2:], true},
		{"OC-72 more than two KiB together", extra.Values{"a": kib}, "b", kib[1:], false},
		{"OC-72 in place of another", extra.Values{"a": kib, "b": kib[2:]}, "b", kib[2:], true},
		{"OC-72 the seventeenth", full, "x", true, false},
		{"OC-72 in place of the sixteenth", full, "15", "x", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := tt.have
			if got := v.Add(tt.add, tt.value); got != tt.want {
				t.Errorf("Add = %v, want %v", got, tt.want)
			}
			if got, ok := v[tt.add]; tt.want && (!ok || got != tt.value) {
				t.Errorf("value %v", got)
			}
		})
	}
}

func TestOver(t *testing.T) {
	old := extra.Values{"realmId": "1", "host": "a"}
	got := old.Over(extra.Values{"host": "b"})
	if diff := cmp.Diff(extra.Values{"realmId": "1", "host": "b"}, got); diff != "" || old["host"] != "a" {
		t.Errorf("OC-72 merged (-want +got):\n%s", diff)
	}
	if got := old.Over(nil); !cmp.Equal(got, old) {
		t.Errorf("OC-72 kept %v", got)
	}
}

func TestJSON(t *testing.T) {
	text := `{"b":true,"n":12345678901234567890,"s":"x"}`
	var v extra.Values
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(v)
	if err != nil || string(again) != text {
		t.Errorf("OC-72 %s, %v; want %s", again, err, text)
	}
	if err := json.Unmarshal([]byte(`{"s":"x","l":[],"o":{},"z":null}`), &v); err != nil || len(v) != 1 {
		t.Errorf("OC-72 %v, %v", v, err)
	}
}
