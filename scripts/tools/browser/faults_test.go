package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/tools/browser"
)

// TestFaults checks pages with one fault each: Faults must find what the service's
// pages are free of.
func TestFaults(t *testing.T) {
	b := startBrowser(t)
	const good = `<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>T</title>
<body style="background:#fff;color:#222"><main><h1>One</h1><p>text</p><label>Name <input name="n" autocomplete="off" style="height:2em"></label>
<button style="height:2em">Go on</button></main>`
	for name, c := range map[string]struct{ instead, of, fault, complaint string }{
		"a good page":               {},
		"no language":               {`lang=""`, `lang="en"`, "3.1.1", ""},
		"no title":                  {`<title></title>`, `<title>T</title>`, "2.4.2", ""},
		"quirks":                    {"", "<!doctype html>", "BackCompat", "QuirksModeIssue"},
		"two first headings":        {"<h1>Two</h1>", "<p>text</p>", "heading 2 is of level 1", ""},
		"a level left out":          {"<h3>Two</h3>", "<p>text</p>", "heading 2 is of level 3", ""},
		"no heading":                {"", "<h1>One</h1>", "no heading", ""},
		"no main part":              {"<div>", "<main>", "0 main parts", ""},
		"nameless input":            {"<b>Name ", "<label>Name ", "a input has no name", ""},
		"nameless button":           {">&#32;</button>", ">Go on</button>", "a button has no name", ""},
		"small button":              {`<button style="width:9px;padding:0">`, `<button style="height:2em">`, "2.5.8", ""},
		"faint text":                {`<p style="color:#888">text</p>`, "<p>text</p>", "contrast of 3.54", ""},
		"faint by shining through":  {`<p style="color:rgba(0,0,0,.5)">text</p>`, "<p>text</p>", "contrast of 3.9", ""},
		"large text may be fainter": {`<p style="color:#888;font-size:24px">text</p>`, "<p>text</p>", "", ""},
		"picture without words":     {`<svg></svg>`, "<p>text</p>", "1.1.1", ""},
		"too wide":                  {`<p style="width:2000px">text</p>`, "<p>text</p>", "wider than the window", ""},
		"input hardly seen":         {`style="height:2em;border:1px solid #ccc"`, `style="height:2em"`, "1.4.11", ""},
		"one id twice":              {`<p id="a">text<b id="a">b</b></p>`, "<p>text</p>", "id a is used twice", ""},
		"a script":                  {`<script>let x</script>`, "<p>text</p>", "1 scripts", "script-src"},
		"a picture of another host": {`<img alt="x" src="https://example.com/x.png">`, "<p>text</p>", "", "img-src"},
	} {
		t.Run(name, func(t *testing.T) {
			tab, end, err := b.Profile(browser.Looks{})
			if err != nil {
				t.Fatal(err)
			}
			defer end()
			page := strings.Replace(good, c.of, c.instead, 1)
			if c.fault+c.complaint != "" && page == good {
				t.Fatal("the page has no fault")
			}
			if err := tab.Open(serve(t, page)); err != nil {
				t.Fatal(err)
			}
			faults, err := tab.Faults()
			if err != nil {
				t.Fatal(err)
			}
			found(t, "fault", faults, c.fault)
			found(t, "complaint", tab.Complaints(), c.complaint)
		})
	}
}

// serve serves one page, with a policy that allows inline styles.
func serve(t *testing.T, page string) (address string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
		fmt.Fprint(w, page)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// found checks that one finding contains want, or that there is none if want is
// empty.
func found(t *testing.T, kind string, all []string, want string) {
	t.Helper()
	has := slices.ContainsFunc(all, func(text string) bool { return strings.Contains(text, want) })
	if want == "" && len(all) > 0 || want != "" && !has {
		t.Errorf("%ss %q, want one of %q", kind, all, want)
	}
}
