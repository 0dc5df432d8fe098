package fleet

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// issued are the tokens that the provider has issued.
type issued struct {
	mu     sync.Mutex
	tokens map[string]issue
}

// issue is when a token was issued, and for how long.
type issue struct {
	at   time.Time
	life time.Duration
}

var (
	accessToken  = regexp.MustCompile(`"(?:access_token|accessToken)"\s*:\s*"([^"]+)"`)
	refreshToken = regexp.MustCompile(`"(?:refresh_token|refreshToken)"\s*:\s*"([^"]+)"`)
	lifetime     = regexp.MustCompile(`"(?:expires_in|expiresIn)"\s*:\s*"?(\d+)`)
)

func (i *issued) note(answer []byte, now time.Time) (found []string) {
	for _, m := range refreshToken.FindAllSubmatch(answer, -1) {
		found = append(found, string(m[1]))
	}
	token := accessToken.FindSubmatch(answer)
	if token == nil {
		return found
	}
	made := issue{at: now}
	if m := lifetime.FindSubmatch(answer); m != nil {
		seconds, _ := strconv.Atoi(string(m[1])) // digits; a number too large counts as none
		made.life = time.Duration(seconds) * time.Second
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.tokens[string(token[1])] = made
	return append(found, string(token[1]))
}

func (i *issued) of(token string) (issue, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	found, ok := i.tokens[token]
	return found, ok
}

// Token puts a token endpoint behind the gate: the sandbox's, or one of a
// scenario's own. Every token becomes a canary before it leaves.
func (f *Fleet) Token(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.leaks.look("a URL", []byte(r.URL.String()))
		if r.Method != http.MethodPost || notToken(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		c := Call{Step: Token, From: f.Holder()} // the provider is not told which process asks
		if f.Gate.Meet(c, nil).Enforce(w) {
			return
		}
		next.ServeHTTP(&observed{ResponseWriter: w, report: func(status int, body []byte) {
			for _, canary := range f.issued.note(body, time.Now()) {
				f.leaks.watch(canary)
			}
			c.Phase, c.Status = Done, status
			if f.Gate.Meet(c, nil).Cut {
				panic(http.ErrAbortHandler)
			}
		}}, r)
	})
}

// notToken reports whether a path is not a token endpoint's: it controls the
// sandbox, shows a page, or revokes tokens.
func notToken(path string) bool {
	return strings.HasPrefix(path, "/control") || strings.Contains(path, "/authorize") || strings.Contains(path, "/revo")
}

// observed reports an answer's first bytes before they leave. A token endpoint
// writes its whole answer at once. A fault that takes the connection over reports
// nothing.
type observed struct {
	http.ResponseWriter
	report   func(status int, body []byte)
	status   int
	reported bool
}

func (t *observed) WriteHeader(status int) { t.status = status }

func (t *observed) Write(body []byte) (int, error) {
	if !t.reported {
		t.reported = true
		if t.status == 0 {
			t.status = http.StatusOK
		}
		t.report(t.status, body)
		t.ResponseWriter.WriteHeader(t.status)
	}
	return t.ResponseWriter.Write(body)
}

// Unwrap lets a fault take the connection over.
func (t *observed) Unwrap() http.ResponseWriter { return t.ResponseWriter }
