package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Answer is a caller's.
type Answer struct {
	// Status is 0 when the function gave no answer. Err says why.
	Status int   `json:"-"`
	Err    error `json:"-"`
	// Took is how long the caller waited.
	Took time.Duration `json:"-"`
	// RetryAfter is the header's value; 0 means none.
	RetryAfter time.Duration `json:"-"`
	// Body is the whole body.
	Body []byte `json:"-"`

	Token      string    `json:"access_token"`
	TokenID    string    `json:"token_id"`
	ExpiresAt  time.Time `json:"expires_at"`
	ExpiresIn  int       `json:"expires_in"`
	RefreshIn  int       `json:"refresh_in"`
	Stale      bool      `json:"stale"`
	Connection string    `json:"connection"`
	Code       string    `json:"error"`
	Detail     string    `json:"detail"`
	Retryable  *bool     `json:"retryable"`
	Instance   string    `json:"instance"`
}

// Outcome is the status with its error code, or that the token is stale.
func (a Answer) Outcome() string {
	switch {
	case a.Status == 0:
		return "no answer"
	case a.Stale:
		return "200 stale"
	case a.Code != "":
		return fmt.Sprintf("%d %s", a.Status, a.Code)
	}
	return strconv.Itoa(a.Status)
}

// Ask invokes the function with one request, and checks its answer.
func (p *Process) Ask(ctx context.Context, ask Ask) Answer {
	began := time.Now()
	text, err := p.host.Invoke(ctx, ask.event(began))
	a := Answer{Err: err, Took: time.Since(began)}
	if err == nil {
		p.read(text, &a)
		p.judge(ask, a, began)
	}
	return a
}

func (p *Process) read(text []byte, a *Answer) {
	var proxy struct {
		StatusCode int               `json:"statusCode"`
		Headers    map[string]string `json:"headers"`
		Body       string            `json:"body"`
	}
	if err := json.Unmarshal(text, &proxy); err != nil || proxy.StatusCode == 0 {
		p.fleet.violated("%s: the answer is not one for API Gateway", p.Name)
		return
	}
	a.Body = []byte(proxy.Body)
	if proxy.Body != "" && json.Unmarshal(a.Body, a) != nil {
		p.fleet.violated("%s: the body of a %d is not JSON", p.Name, proxy.StatusCode)
	}
	a.Status = proxy.StatusCode
	seconds, _ := strconv.Atoi(proxy.Headers["Retry-After"]) // absent means none
	a.RetryAfter = time.Duration(seconds) * time.Second
	if proxy.Headers["Cache-Control"] != "no-store" {
		p.fleet.violated("AZ-01: a %d may be cached", proxy.StatusCode)
	}
}

// judge checks an answer against the invariants. The request began then, so its
// token was served after that.
func (p *Process) judge(ask Ask, a Answer, began time.Time) {
	f := p.fleet
	switch {
	case a.Token != "":
		f.judgeToken(ask, a, began)
		f.leaks.look("an answer beside its token", []byte(strings.Replace(string(a.Body), a.Token, "", 1)))
		return
	case a.Status >= http.StatusInternalServerError:
		f.judgeFailure(a)
	}
	f.leaks.look("an answer", a.Body)
}

// Skew is how far apart clocks may be (INV-1).
const Skew = 2 * time.Second

func (f *Fleet) judgeToken(ask Ask, a Answer, began time.Time) {
	made, known := f.issued.of(a.Token)
	switch {
	case !known:
		f.violated("INV-1: a token was served that the provider never issued")
	case made.life > 0 && began.After(made.at.Add(made.life+Skew)):
		f.violated("INV-1: an expired token was served")
	case made.life > 0 && a.ExpiresAt.After(made.at.Add(made.life+Skew)):
		f.violated("INV-1: a token has a longer life than the provider gave it")
	}
	if a.ExpiresIn < 1 || a.RefreshIn < 1 {
		f.violated("CR-01: a token was served in its last second")
	}
	if want := strings.Split(ask.Path, "/"); len(want) > 2 && a.Connection != want[2] {
		f.violated("INV-1: the token of another connection was served")
	}
}

// internal are marks of error texts of Go or AWS (INV-6).
var internal = []string{"arn:aws", "RequestID", "operation error", "api error", "dial tcp", "context deadline", "goroutine ", "unexpected EOF"}

func (f *Fleet) judgeFailure(a Answer) {
	if a.Code == "" || a.Instance == "" || a.Retryable == nil {
		f.violated("INV-6: a %d lacks error, instance or retryable", a.Status)
	}
	for _, mark := range internal {
		if strings.Contains(string(a.Body), mark) {
			f.violated("INV-6: a %d repeats an internal error text", a.Status)
		}
	}
}

// AskAll asks every process at once, and returns the answers in their order.
func AskAll(ctx context.Context, processes []*Process, ask Ask) []Answer {
	answers := make([]Answer, len(processes))
	var wg sync.WaitGroup
	for i, p := range processes {
		wg.Go(func() { answers[i] = p.Ask(ctx, ask) })
	}
	wg.Wait()
	return answers
}

// Summary is what the renew function returns.
type Summary struct {
	Due      int `json:"due"`
	Renewed  int `json:"renewed"`
	Skipped  int `json:"skipped"`
	Failed   int `json:"failed"`
	LeftOver int `json:"left_over"`
	Reissued int `json:"reissued"`
	Recorded int `json:"recorded"`
}

// Send invokes the renew function with an event.
func (p *Process) Send(ctx context.Context, event []byte) (Summary, error) {
	text, err := p.host.Invoke(ctx, event)
	if err != nil {
		return Summary{}, fmt.Errorf("invoke %s: %w", p.Name, err)
	}
	p.fleet.leaks.look("the answer of "+p.Name, text)
	var s Summary
	if err := json.Unmarshal(text, &s); err != nil {
		return Summary{}, fmt.Errorf("summary of %s: %w", p.Name, err)
	}
	return s, nil
}
