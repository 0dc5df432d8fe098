package story_test

import (
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/aws/internal/story"
)

func TestCompare(t *testing.T) {
	const golden = `{"statusCode":200,"headers":{"Retry-After":"90"},"body":{"access_token":"a","expires_in":60,"connection":"crm","all":[1,2]}}`
	for _, test := range []struct{ name, golden, answer, says string }{
		{"a body is JSON inside of JSON", golden,
			`{"statusCode":200,"headers":{"Retry-After":"90"},"body":"{\"access_token\":\"a\",\"expires_in\":60,\"connection\":\"crm\",\"all\":[1,2]}"}`, ""},
		{"the clock and chance are free", golden,
			`{"statusCode":200,"headers":{"Retry-After":"7"},"body":{"access_token":"b","expires_in":1,"connection":"crm","all":[1,2]}}`, ""},
		{"what is free is there and of its kind", golden,
			`{"statusCode":200,"headers":{},"body":{"access_token":1,"expires_in":1,"connection":"crm","all":[1,2]}}`,
			"answer.body.access_token is a float64, want a string\nanswer.headers.Retry-After is missing"},
		{"all else must be the same", golden,
			`{"statusCode":404,"headers":{"Retry-After":"1","X":"1"},"body":{"access_token":"b","expires_in":1,"connection":"erp","all":[1]}}`,
			"answer.body.all has 1 elements, want 2\nanswer.body.connection is erp, want crm\nanswer.headers.X is one member too many\nanswer.statusCode is 404, want 200"},
		{"a file there is a secret here", `{"problem":"file crm.json: no"}`, `{"problem":"secret tokenvend/crm: no"}`, ""},
		{"an invocation has an id here", `{"status":500}`, `{"status":500,"instance":"x"}`, ""},
		{"a page is compared without what changes", `{"body":["<!DOCTYPE html>","<style>…</style>","<time x>12</time>","end"]}`,
			`{"body":"<!DOCTYPE html>\n<style>a\nb</style>\n<time y>13</time>\nend"}`, ""},
		{"a page with other words", `{"body":["<!DOCTYPE html>","<h1>yes</h1>"]}`, `{"body":"<!DOCTYPE html>\n<h1>no</h1>"}`, "from line 2 on"},
		{"a page that ends early", `{"body":["<!DOCTYPE html>","<h1>yes</h1>"]}`, `{"body":"<!DOCTYPE html>"}`, "from line 2 on"},
		{"a page where there was none", `{"body":""}`, `{"body":"<!DOCTYPE html>"}`, "is a page"},
		{"no JSON", `{}`, `oops`, "answer: it is not JSON"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := story.Compare([]byte(test.golden), []byte(test.answer))
			switch {
			case test.says == "" && err != nil:
				t.Errorf("got %v", err)
			case test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)):
				t.Errorf("got %v, want %q in it", err, test.says)
			}
		})
	}
}
