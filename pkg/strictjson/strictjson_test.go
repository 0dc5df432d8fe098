package strictjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/strictjson"
)

func TestParseAccepts(t *testing.T) {
	tests := []struct {
		name, text string
		want       any
	}{
		{"object", `{"a":"b","n":null,"t":true}`, map[string]any{"a": "b", "n": nil, "t": true}},
		{"empty containers", `{"o":{},"a":[]}`, map[string]any{"o": map[string]any{}, "a": []any{}}},
		{"numbers keep their digits", `[1, 3599.0, 1e400]`, []any{json.Number("1"), json.Number("3599.0"), json.Number("1e400")}},
		{"white space around", " \r\n\t{} \n", map[string]any{}},
		{"bare string", `"x"`, "x"},
		{"a surrogate pair", `"\ud83d\ude00"`, "😀"},
		{"an escaped backslash before u", `"\\ud800"`, `\ud800`},
		{"U+FFFD itself", `"\ufffd"`, "\ufffd"},
		{"same name in two objects", `[{"a":"1"},{"a":"2"}]`, []any{map[string]any{"a": "1"}, map[string]any{"a": "2"}}},
		{"OC-54 names that differ in case", `{"a":"1","A":"2"}`, map[string]any{"a": "1", "A": "2"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := strictjson.Parse([]byte(tt.text))
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("value (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ name, text, wantPath, wantProblem string }{
		{"OC-50 empty", "", "", "is empty"},
		{"OC-50 white space only", " \n", "", "is empty"},
		{"OC-52 BOM", "\xef\xbb\xbf{}", "", "byte order mark"},
		{"OC-52 UTF-16", "\xff\xfe{\x00}\x00", "", "UTF-8"},
		{"OC-52 UTF-16 without BOM", "{\x00}\x00", "", "UTF-8"},
		{"OC-52 invalid UTF-8 in a string", "{\"a\":\"\xff\"}", "", "UTF-8"},
		{"OC-53 repeated name", `{"a":1,"a":1}`, "/a", "is repeated"},
		{"OC-53 repeated by escape", `{"a":1,"\u0061":1}`, "/a", "is repeated"},
		{"OC-53 repeated deep in", `{"o":[{"x/y":1,"x/y":2}]}`, "/o/0/x~1y", "is repeated"},
		{"OC-58 trailing value", "{}\n {}", "", "after its end (line 2, column 2)"},
		{"OC-58 trailing text", `{} x`, "", "after its end"},
		{"OC-58 NaN", `{"a":NaN}`, "", "is not JSON (line 1, column 6)"},
		{"OC-58 comment", "{\n  // no\n}", "", "is not JSON (line 2, column 3)"},
		{"OC-58 nesting", strings.Repeat("[", 33) + strings.Repeat("]", 33), strings.Repeat("/0", 32), "nests deeper than 32"},
		{"OC-58 nesting beyond encoding/json", strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), "", "is not JSON"},
		{"trailing comma", `{"a":1,}`, "", "is not JSON"},
		{"single quotes", `{'a':1}`, "", "is not JSON"},
		{"lone high surrogate", `{"a":"\ud800"}`, "/a", "surrogate"},
		{"lone low surrogate", `{"a":"x\udc00"}`, "/a", "surrogate"},
		{"high surrogate twice", `["\ud800\ud800"]`, "/0", "surrogate"},
		{"pair then lone", `["\ud83d\ude00\ude00"]`, "/0", "surrogate"},
		{"surrogate and a plain escape", `["\ud800\n12345"]`, "/0", "surrogate"},
		{"lone surrogate in a name", `{"o":{"\udfff":1}}`, "/o", "surrogate"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v, err := strictjson.Parse([]byte(tt.text))
			var got *strictjson.Error
			if !errors.As(err, &got) {
				t.Fatalf("Parse = %v, %v; want an *Error", v, err)
			}
			if got.Path != tt.wantPath || !strings.Contains(got.Problem, tt.wantProblem) {
				t.Errorf("error = %q at %q; want %q at %q", got.Problem, got.Path, tt.wantProblem, tt.wantPath)
			}
			if errors.Is(err, strictjson.ErrTruncated) {
				t.Error("errors.Is(err, ErrTruncated), but the text does not end too early")
			}
		})
	}
}

func TestNestingAtTheLimit(t *testing.T) {
	text := strings.Repeat("[", strictjson.MaxDepth) + strings.Repeat("]", strictjson.MaxDepth)
	if _, err := strictjson.Parse([]byte(text)); err != nil {
		t.Errorf("Parse at depth %d: %v", strictjson.MaxDepth, err)
	}
}

func TestEveryPrefixIsTruncated(t *testing.T) {
	const whole = `{"a":[1,"\u00e9x",true,null],"b":-1.5e3}`
	for n := 1; n < len(whole); n++ {
		if _, err := strictjson.Parse([]byte(whole[:n])); !errors.Is(err, strictjson.ErrTruncated) {
			t.Errorf("Parse(%q) = %v; want ErrTruncated", whole[:n], err)
		}
	}
}

func TestErrorShowsNamesBoundedAndPrintable(t *testing.T) {
	long := strings.Repeat("n", 10_000)
	_, err := strictjson.Parse([]byte(`{"` + long + `":{"a\u0007b":{"x":1,"x":1}}}`))
	if err == nil || len(err.Error()) > 512 {
		t.Fatalf("error is missing or too long: %.600v", err)
	}
	if !strings.Contains(err.Error(), "/a?b/x") {
		t.Errorf("error = %q; want the control character replaced", err)
	}
}

func TestErrorShowsAPathBounded(t *testing.T) {
	name := `{"` + strings.Repeat("é", 64) + `":`
	_, err := strictjson.Parse([]byte(strings.Repeat(name, 40) + "1" + strings.Repeat("}", 40)))
	if err == nil || len(err.Error()) > 512 {
		t.Errorf("error is missing or too long: %.600v", err)
	}
}

func TestMembers(t *testing.T) {
	text := []byte(`{ "b": {"x":1, "x":2} , "a":[1], "b":null, "\u0063":"v" }`)
	got, err := strictjson.Members(text)
	if err != nil {
		t.Fatal(err)
	}
	want := []strictjson.Member{
		{Name: "b", Text: json.RawMessage(`{"x":1, "x":2}`)},
		{Name: "a", Text: json.RawMessage(`[1]`)},
		{Name: "b", Text: json.RawMessage(`null`)},
		{Name: "c", Text: json.RawMessage(`"v"`)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}

func TestMembersRefuses(t *testing.T) {
	for _, text := range []string{"", "[]", "null", `"x"`, `{"a":}`, `{"a":1`, `{} {}`, "\xef\xbb\xbf{}"} {
		if got, err := strictjson.Members([]byte(text)); err == nil {
			t.Errorf("Members(%q) = %v, want an error", text, got)
		}
	}
}

func TestParseTolerant(t *testing.T) {
	repeated, notText := strictjson.Unusable("is repeated"), strictjson.Unusable("is not UTF-8 text")
	deep := strings.Repeat(`{"d":[`, 20) + strings.Repeat("]}", 20)
	tests := []struct {
		name, text string
		want       map[string]any // by pointer
		err        string         // empty: none
	}{
		{"OC-53 repeated", `{"a":1,"a":2,"b":"x"}`, map[string]any{"/a": repeated, "/b": "x"}, ""},
		{"OC-53 three times", `{"a":1,"\u0061":2,"a":null}`, map[string]any{"/a": repeated}, ""},
		{"OC-53 a repeated object", `{"a":{"b":"x"},"a":{"b":"x"}}`, map[string]any{"/a": repeated, "/a/b": repeated}, ""},
		{"OC-53 repeated inside", `{"a":{"b":1,"b":1,"c":"x"}}`, map[string]any{"/a/b": repeated, "/a/c": "x"}, ""},
		{"OC-52 not UTF-8", "{\"a\":\"\xff\",\"b\":\"x\"}", map[string]any{"/a": notText, "/b": "x"}, ""},
		{"OC-52 half of a pair", `{"a":"\ud800","b":["x"]}`, map[string]any{"/a": notText, "/b/0": "x"}, ""},
		{"OC-52 a name that is not UTF-8", "{\"\xff\":1,\"b\":\"x\"}", map[string]any{"/": nil, "/\ufffd": nil, "/b": "x"}, ""},
		{"OC-58 too deep", `{"a":` + deep + `,"b":"x"}`, map[string]any{"/b": "x"}, "nests deeper than 32"},
		{"OC-58 trailing value", `{"b":"x"} {}`, nil, "after its end"},
		{"OC-58 NaN", `{"b":"x","a":NaN}`, nil, "is not JSON"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root, err := strictjson.ParseTolerant([]byte(tt.text))
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("ParseTolerant: %v, want %q", err, tt.err)
			}
			for pointer, want := range tt.want {
				if got, _ := strictjson.Lookup(root, pointer); got != want {
					t.Errorf("%s is %v, want %v", pointer, got, want)
				}
			}
		})
	}
}

// FuzzParseTolerant: what Parse accepts, ParseTolerant reads the same.
func FuzzParseTolerant(f *testing.F) {
	for _, seed := range []string{`{"a":1,"a":2}`, `["\ud800"]`, "[\"\xff\"]", `{"o":[{"x":1e400}]}`, "{", strings.Repeat("[", 40) + strings.Repeat("]", 40)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		strict, strictErr := strictjson.Parse(text)
		tolerant, err := strictjson.ParseTolerant(text)
		if strictErr == nil && (err != nil || !cmp.Equal(strict, tolerant)) {
			t.Errorf("ParseTolerant = %v, %v; Parse = %v", tolerant, err, strict)
		}
		if err == nil && !json.Valid(text) {
			t.Error("accepted what is not JSON")
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`{"a":1,"a":2}`, `["\ud800"]`, `"\ud83d\ude00"`, `{"o":[{"x":1e400}]}`, "", "{", "nul", `{}x`, "\xef\xbb\xbf{}", "[\xff]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := strictjson.Parse(text)
		if err != nil {
			return
		}
		if !json.Valid(text) || !utf8.Valid(text) {
			t.Fatal("accepted what is not JSON in UTF-8")
		}
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		var want any
		if err := dec.Decode(&want); err != nil {
			t.Fatalf("accepted what encoding/json refuses: %v", err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("disagrees with encoding/json (-want +got):\n%s", diff)
		}
	})
}
