package browser

import (
	"fmt"
	"slices"
	"sync"

	"github.com/chromedp/cdproto/audits"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
)

// Request is one request that a tab sent.
type Request struct{ Method, URL string }

// trail records the browser's events about a tab, in order.
type trail struct {
	mu         sync.Mutex
	requests   []Request
	status     int
	complaints []string
}

// note records an event. The reader of the browser's messages calls it, so it must
// not wait.
func (tr *trail) note(event any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		tr.requests = append(tr.requests, Request{Method: e.Request.Method, URL: e.Request.URL + e.Request.URLFragment})
	case *network.EventResponseReceived:
		if e.Type == network.ResourceTypeDocument {
			tr.status = int(e.Response.Status)
		}
	case *log.EventEntryAdded:
		// The browser reports a page with an error status as a failed resource. Tests
		// check statuses themselves.
		if e.Entry.Source != log.EntrySourceNetwork && e.Entry.Level != log.EntryLevelVerbose {
			tr.complain("log, %s: %s", e.Entry.Source, e.Entry.Text)
		}
	case *runtime.EventConsoleAPICalled:
		tr.complain("a script of the page writes to the console: %s", e.Type)
	case *runtime.EventExceptionThrown:
		tr.complain("exception: %s", e.ExceptionDetails.Text)
	case *audits.EventIssueAdded:
		tr.issue(e.Issue)
	}
}

func (tr *trail) issue(i *audits.InspectorIssue) {
	if csp := i.Details.ContentSecurityPolicyIssueDetails; csp != nil {
		tr.complain("Content-Security-Policy: %s blocked %q", csp.ViolatedDirective, csp.BlockedURL)
		return
	}
	// Every consent passes through a provider's page that redirects.
	if i.Code != audits.InspectorIssueCodeBounceTrackingIssue {
		tr.complain("issue %s", i.Code)
	}
}

func (tr *trail) complain(format string, args ...any) {
	tr.complaints = append(tr.complaints, fmt.Sprintf(format, args...))
}

// Requests are all requests so far.
func (tr *trail) Requests() []Request {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return slices.Clone(tr.requests)
}

// Complaints are what the browser reported so far: violations of the policy, errors
// on the console, issues of its own audits.
func (tr *trail) Complaints() []string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return slices.Clone(tr.complaints)
}

// Status is the HTTP status of the latest page.
func (tr *trail) Status() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.status
}
