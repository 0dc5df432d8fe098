package testcount_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/scripts/internal/testcount"
)

func TestRead(t *testing.T) {
	for _, c := range []struct {
		name, report string
		want         testcount.Counts
		said         string
	}{
		{"nothing", "", testcount.Counts{}, ""},
		{"pass and skip", `
{"Action":"run","Package":"p","Test":"A"}
{"Action":"output","Package":"p","Test":"A","Output":"quiet\n"}
{"Action":"pass","Package":"p","Test":"A"}
{"Action":"output","Package":"p","Test":"B","Output":"why skipped\n"}
{"Action":"skip","Package":"p","Test":"B"}
{"Action":"output","Package":"p","Output":"ok p\n"}
{"Action":"pass","Package":"p"}`, testcount.Counts{Passed: 1, Skipped: 1}, "why skipped\nok p\n"},
		{"a parent is not counted beside its subtests", `
{"Action":"pass","Package":"p","Test":"A/x"}
{"Action":"pass","Package":"p","Test":"A/y/deep"}
{"Action":"pass","Package":"p","Test":"A/y"}
{"Action":"pass","Package":"p","Test":"A"}`, testcount.Counts{Passed: 2}, ""},
		{"a failure is counted where it is", `
{"Action":"output","Package":"p","Test":"A/x","Output":"broken\n"}
{"Action":"fail","Package":"p","Test":"A/x"}
{"Action":"pass","Package":"p","Test":"A/y"}
{"Action":"fail","Package":"p","Test":"A"}
{"Action":"fail","Package":"p"}`, testcount.Counts{Passed: 1, Failed: 1}, "broken\n"},
		{"a parent that fails by itself", `
{"Action":"pass","Package":"p","Test":"A/x"}
{"Action":"fail","Package":"p","Test":"A"}
{"Action":"fail","Package":"p"}`, testcount.Counts{Passed: 1, Failed: 1}, ""},
		{"a package that does not build", `
{"ImportPath":"p","Action":"build-output","Output":"undefined: x\n"}
{"ImportPath":"p","Action":"build-fail"}
{"Action":"fail","Package":"p","FailedBuild":"p"}`, testcount.Counts{Failed: 1}, "undefined: x\n"},
		{"a package that dies", `
{"Action":"run","Package":"p","Test":"A"}
{"Action":"output","Package":"p","Output":"panic\n"}
{"Action":"fail","Package":"p"}`, testcount.Counts{Failed: 1}, "panic\n"},
		{"packages without tests", `
{"Action":"output","Package":"p","Output":"? p [no test files]\n"}
{"Action":"skip","Package":"p"}`, testcount.Counts{}, "? p [no test files]\n"},
		{"the same name in two packages", `
{"Action":"fail","Package":"p","Test":"A"}
{"Action":"pass","Package":"q","Test":"A"}`, testcount.Counts{Passed: 1, Failed: 1}, ""},
		{"what is not of the report", "race detector: off\n{}\n", testcount.Counts{}, "race detector: off\n{}\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var said strings.Builder
			got, err := testcount.Read(strings.NewReader(strings.TrimPrefix(c.report, "\n")), &said)
			if err != nil {
				t.Fatal(err)
			}
			if got != c.want {
				t.Errorf("counted %s, want %s", got, c.want)
			}
			if diff := cmp.Diff(c.said, said.String()); diff != "" {
				t.Errorf("printed (-want +got):\n%s", diff)
			}
		})
	}
}
