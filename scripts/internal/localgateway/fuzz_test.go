package localgateway_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/scripts/internal/localgateway"
)

// through is text after encoding/json encoded and decoded it.
func through(t *testing.T, text string) string {
	t.Helper()
	encoded, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	var decoded string
	if err := json.Unmarshal(encoded, &decoded); err != nil {
		t.Fatal(err)
	}
	return decoded
}

// awkward are texts that an encoder may encode wrongly.
func awkward() []string {
	return []string{"", "plain", `a"b\c/d`, "\x00\x1f\n\t\r\b\f\x7f", "é€😀", "\xff\xfea\xc3", "\u2028\u2029\ufffd", "<&>", "\xed\xa0\x80"}
}

func FuzzText(f *testing.F) {
	for _, text := range awkward() {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var got string
		if encoded := localgateway.AppendText(nil, text); json.Unmarshal(encoded, &got) != nil {
			t.Fatalf("OC-71 %q is not JSON", encoded)
		}
		if want := through(t, text); got != want {
			t.Errorf("OC-71 %q, want %q", got, want)
		}
	})
}

func FuzzEvent(f *testing.F) {
	for _, text := range awkward() {
		f.Add(text, text, text, text)
	}
	api, err := localgateway.New(localgateway.Config{
		Functions: map[string]localgateway.Function{"vend": echo("vend"), "connections": echo("connections"), "consent": echo("consent")}, Stage: "v1", Rand: zeros{},
		Callers: map[string]localgateway.Caller{"local": {AccountID: "1", UniqueID: "2", ARN: "3"}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, value, host, body string) {
		if strings.Contains(name+value+host+body, "hidden") || strings.Contains(name+value+host+body, "forged") ||
			strings.HasPrefix(name, "Forwarded-") || name == "Amzn-Trace-Id" {
			t.Skip("means something here")
		}
		r := httptest.NewRequest("POST", "/v1/connections/crm/token", nil)
		r.Host, r.URL.RawQuery = host, url.Values{name: {value, name}}.Encode()
		r.Header = http.Header{"X-" + name: {name, value}, "User-Agent": {value}, "Authorization": {"hidden"}, "X-Forwarded-For": {"forged"}}
		text := api.EventOf(r, []byte(body))
		var e struct {
			Headers           map[string]string
			MultiValueHeaders map[string][]string
			Query             map[string]string   `json:"queryStringParameters"`
			Queries           map[string][]string `json:"multiValueQueryStringParameters"`
			RequestContext    struct {
				DomainName string
				Identity   struct{ UserAgent string }
			}
			Body *string
		}
		if err := json.Unmarshal(text, &e); err != nil {
			t.Fatalf("OC-71 %v in %s", err, text)
		}
		header := through(t, "X-"+name)
		checkEqual(t, "header", e.Headers[header], through(t, value))
		checkEqual(t, "headers", e.MultiValueHeaders[header], []string{through(t, name), through(t, value)})
		checkEqual(t, "query", e.Query[through(t, name)], through(t, name))
		checkEqual(t, "queries", e.Queries[through(t, name)], []string{through(t, value), through(t, name)})
		checkEqual(t, "host", e.RequestContext.DomainName, through(t, host))
		checkEqual(t, "user agent", e.RequestContext.Identity.UserAgent, through(t, value))
		if body == "" != (e.Body == nil) || e.Body != nil && *e.Body != through(t, body) {
			t.Errorf("OC-71 body %v of %q", e.Body, body)
		}
		if strings.Contains(string(text), "hidden") || strings.Contains(string(text), "forged") {
			t.Errorf("AZ-07 the signature, or a header that only the gateway sets, was passed on: %s", text)
		}
	})
}

func checkEqual(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("OC-71 %s (-want +got):\n%s", what, diff)
	}
}

func FuzzAnswer(f *testing.F) {
	for _, answer := range []string{
		`{"statusCode":200,"headers":{"A":"b"},"body":"{\"a\":1}"}`,
		`{"statusCode":200,"headers":{"A":"b","A":"c"},"body":"\u003c\u00e9\n\/"}`,
		`{"statusCode":404,"headers":{"é":"\t"},"body":"\ud83d\ude00"}`,
		`{"statusCode":0200,"headers":{"A":"b"},"body":""}`,
		`{"statusCode":2000,"headers":{"A":"b"},"body":""}`,
		`{"statusCode":200,"headers":{"A":"b"},"body":"","isBase64Encoded":true}`,
		`{"statusCode":200,"headers":{"A":"b"},"body":"\x"}`,
		`{"statusCode":200,"headers":{"A":"b"},"body":"` + "\xff" + `"}`,
	} {
		f.Add([]byte(answer))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		got, ok := localgateway.ReadUsual(answer)
		if !ok {
			return
		}
		var want localgateway.ProxyAnswer
		if err := json.Unmarshal(answer, &want); err != nil {
			t.Fatalf("OC-71 took %q, which is %v", answer, err)
		}
		checkEqual(t, "answer", got, want)
	})
}

// The fast path must take the usual responses.
func TestUsualAnswers(t *testing.T) {
	for answer, want := range map[string]bool{
		`{"statusCode":200,"headers":{"Content-Type":"application/json","Pragma":"no-cache"},"body":"{\"access_token\":\"a\\u003db\"}"}`: true,
		`{"statusCode":204,"headers":{"Pragma":"no-cache"},"body":""}`:                                                                   true,
		`{"statusCode":200,"headers":{},"body":""}`:                                                                                      false,
		`{"headers":{"A":"b"},"statusCode":200,"body":""}`:                                                                               false,
		`{"statusCode":200,"headers":{"A":"b"},"body":""}}`:                                                                              false,
		`{"statusCode":200,"headers":{"A":"b"},"body":"\`:                                                                                false,
		`{"statusCode":200,"headers":{"A":"b"},"body":"\"`:                                                                               false,
		`{"statusCode":200,"headers":{"A":"b"},"body":"\u00`:                                                                             false,
		`{"statusCode":20`: false,
	} {
		if _, got := localgateway.ReadUsual([]byte(answer)); got != want {
			t.Errorf("%s: read %t, want %t", answer, got, want)
		}
	}
}
