package consent_test

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// actions is a deployment with two principals and three browsers that act in any
// order with anything they have seen.
type actions struct {
	*fixture
	sessions []*observed
	browsers []*client
	// issued has the state of each issued code.
	issued map[string]string
	codes  []string
	states []string
	shown  []string
}

// observed is a session as seen from outside.
type observed struct {
	consent.Started
	by         consent.Principal
	connection connection.Name
	startedAt  time.Time
	manual     string
	// redirects has the cookie of each state, and order the states in their order.
	redirects map[string]string
	order     []string
	// confirmed is the confirmation code that was shown for the code.
	confirmed, code string
	receivedAt      time.Time
	wrong           int
	over            bool
	// denied: its response was an error. counted: it is among the pending ones of
	// its principal, connection and subject.
	denied, counted bool
}

type client struct{ cookies map[string]string }

func (b *client) header() []string {
	if len(b.cookies) == 0 {
		return nil
	}
	return []string{ownCookie + "=" + b.cookies[ownCookie]}
}

func newActions() *actions {
	return &actions{fixture: newFixture(), issued: map[string]string{}, browsers: []*client{{}, {}, {}}, shown: []string{"AAAA-AAAA"}}
}

func principals() []consent.Principal { return []consent.Principal{owner, other} }

func names() []connection.Name { return []connection.Name{crm, "erp"} }

func (p *actions) start(t *rapid.T) {
	by := rapid.SampledFrom(principals()).Draw(t, "principal")
	name := rapid.SampledFrom(names()).Draw(t, "connection")
	s, err := p.back.Start(p.ctx, consent.StartRequest{Connection: name, Principal: by, BaseURL: base})
	if problem.Is(err, problem.RateLimited) {
		return
	}
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	p.endOldest(by, name)
	manual := manualState(s)
	p.sessions = append(p.sessions, &observed{Started: s, by: by, connection: name, startedAt: p.now, manual: manual,
		redirects: map[string]string{}, counted: true})
	p.states = append(p.states, manual)
}

// endOldest: the fourth pending session ends the oldest, unless its response has
// come.
func (p *actions) endOldest(by consent.Principal, name connection.Name) {
	var pending []*observed
	for _, s := range p.sessions {
		if s.by == by && s.connection == name && s.counted && p.now.Sub(s.startedAt) < 10*time.Minute {
			pending = append(pending, s)
		}
	}
	if len(pending) == 3 {
		pending[0].counted = false
		pending[0].over = pending[0].over || pending[0].code == ""
	}
}

func (p *actions) session(t *rapid.T) *observed {
	if len(p.sessions) == 0 {
		t.Skip("no session yet")
	}
	return rapid.SampledFrom(p.sessions).Draw(t, "session")
}

// continueFrom has a browser continue from any session's consent page.
func (p *actions) continueFrom(t *rapid.T) {
	s := p.session(t)
	b := rapid.SampledFrom(p.browsers).Draw(t, "browser")
	page, err := p.front.Show(p.ctx, s.SessionID)
	if err != nil {
		return
	}
	d, err := p.front.Continue(p.ctx, consent.ContinueRequest{SessionID: s.SessionID, CSRF: page.CSRF})
	if err != nil {
		t.Fatalf("the page was shown, but Continue failed: %v", err)
	}
	u, err := url.Parse(d.Location)
	if err != nil {
		t.Fatal(err)
	}
	state := u.Query().Get("state")
	s.redirects[state] = d.Cookie.Value.Reveal()
	s.order = append(s.order, state)
	p.states = append(p.states, state)
	b.cookies = map[string]string{d.Cookie.Name: d.Cookie.Value.Reveal()}
}

// consentTo issues a code for any state.
func (p *actions) consentTo(t *rapid.T) {
	if len(p.states) == 0 {
		t.Skip("no request yet")
	}
	state := rapid.SampledFrom(p.states).Draw(t, "state")
	code := "code-" + strconv.Itoa(len(p.codes))
	p.issued[code] = state
	p.codes = append(p.codes, code)
}

// query combines a code with its state, or with any other.
func (p *actions) query(t *rapid.T) url.Values {
	if len(p.codes) == 0 {
		t.Skip("no code yet")
	}
	code := rapid.SampledFrom(p.codes).Draw(t, "code")
	state := p.issued[code]
	if rapid.IntRange(0, 3).Draw(t, "forge") == 0 {
		state = rapid.SampledFrom(p.states).Draw(t, "other state")
	}
	if rapid.IntRange(0, 9).Draw(t, "refuse") == 0 {
		return url.Values{"error": {"access_denied"}, "state": {state}}
	}
	return url.Values{"code": {code}, "state": {state}}
}

func (p *actions) owning(state string) *observed {
	i := slices.IndexFunc(p.sessions, func(s *observed) bool { return strings.HasPrefix(state, hash(s.SessionID)) })
	return p.sessions[i]
}

// receive has a browser arrive at a callback, and checks that it was bound.
func (p *actions) receive(t *rapid.T) {
	query := p.query(t)
	b := rapid.SampledFrom(p.browsers).Draw(t, "browser")
	name := rapid.SampledFrom(names()).Draw(t, "path")
	result, err := p.front.Receive(p.ctx, consent.CallbackRequest{Connection: name, RawQuery: query.Encode(), Cookies: b.header()})
	s := p.owning(query.Get("state"))
	cookie, found := s.redirects[query.Get("state")]
	refused := ""
	switch {
	case !found || cookie != b.cookies[ownCookie]:
		refused = "AZ-22 a browser that did not leave with this state"
	case s.connection != name:
		refused = "OC-09 at the callback of another connection"
	case s.over || s.code != "":
		refused = "AZ-21 a second time"
	case p.now.Sub(s.startedAt) >= 10*time.Minute:
		refused = "OC-07 after ten minutes"
	case slices.Index(s.order, query.Get("state")) < len(s.order)-4:
		refused = "four others left after it"
	}
	if (err != nil) != (refused != "") {
		t.Fatalf("error %v; to be refused: %s", err, refused)
	}
	if err != nil {
		return
	}
	s.over, s.denied = result.Denied, result.Denied
	s.code, s.confirmed, s.receivedAt = query.Get("code"), result.ConfirmationCode.Reveal(), p.now
	if !result.Denied {
		p.shown = append(p.shown, s.confirmed)
	}
}

// complete has any principal try any session with any confirmation code.
func (p *actions) complete(t *rapid.T) {
	s := p.session(t)
	typed := rapid.SampledFrom(append([]string{s.confirmed}, p.shown...)).Draw(t, "confirmation")
	if typed == "" {
		typed = "BBBB-BBBB"
	}
	by := rapid.SampledFrom(principals()).Draw(t, "principal")
	name := rapid.SampledFrom(names()).Draw(t, "path")
	before := len(p.core.authorized)
	err := p.back.Complete(p.ctx, consent.CompleteRequest{Connection: name, Principal: by,
		SessionID: redact.New(s.SessionID), ConfirmationCode: redact.New(typed)})
	p.reportDenied(s, by, name)
	may := by == s.by && name == s.connection && !s.over && s.code != "" && p.now.Sub(s.receivedAt) < 30*time.Minute
	if may && typed != s.confirmed {
		s.wrong++
		s.over = s.wrong == 3
		s.counted = s.counted && !s.over
	}
	p.check(t, s, err, before, may && typed == s.confirmed, s.code)
}

// completeManually has any principal complete with any address.
func (p *actions) completeManually(t *rapid.T) {
	query := p.query(t)
	s := p.owning(query.Get("state"))
	by := rapid.SampledFrom(principals()).Draw(t, "principal")
	name := rapid.SampledFrom(names()).Draw(t, "path")
	before := len(p.core.authorized)
	err := p.back.Complete(p.ctx, consent.CompleteRequest{Connection: name, Principal: by,
		RedirectURL: redact.New(base + "/callback/" + string(name) + "?" + query.Encode())})
	p.reportDenied(s, by, name)
	may := by == s.by && name == s.connection && !s.over && s.code == "" && p.now.Sub(s.startedAt) < 10*time.Minute && query.Get("state") == s.manual
	if may && query.Has("error") {
		s.over, s.denied, s.counted, s.receivedAt, may = true, true, false, p.now, false
	}
	p.check(t, s, err, before, may, query.Get("code"))
}

// reportDenied: a session whose response was an error is counted until its principal
// asks.
func (p *actions) reportDenied(s *observed, by consent.Principal, name connection.Name) {
	if by == s.by && name == s.connection && s.denied && p.now.Sub(s.receivedAt) < 30*time.Minute {
		s.counted = false
	}
}

// check: a code is exchanged if and only if it is allowed, and once.
func (p *actions) check(t *rapid.T, s *observed, err error, before int, may bool, code string) {
	authorized := p.core.authorized[before:]
	if !may {
		if err == nil || len(authorized) > 0 {
			t.Fatalf("AZ-23 %d codes exchanged, error %v; want a refusal", len(authorized), err)
		}
		return
	}
	if err != nil || len(authorized) != 1 || authorized[0].Code.Reveal() != code || authorized[0].Connection.Name != s.connection {
		t.Fatalf("the owner was refused, or another code exchanged: %v, %d authorizations", err, len(authorized))
	}
	s.over, s.counted = true, false
}

func (p *actions) pass(t *rapid.T) {
	p.now = p.now.Add(time.Duration(rapid.IntRange(1, 240).Draw(t, "seconds")) * time.Second)
}

// TestAnyOrder: in any order of actions, a code is exchanged at most once, only
// for the principal that started, and only from the redirected browser or with
// the state of authorization_url.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newActions()
		t.Repeat(map[string]func(*rapid.T){
			"start": p.start, "continue": p.continueFrom, "consent": p.consentTo, "receive": p.receive,
			"complete": p.complete, "complete manually": p.completeManually, "pass": p.pass,
			"": func(t *rapid.T) { p.once(t) },
		})
	})
}

// once: each session leads to at most one grant.
func (p *actions) once(t *rapid.T) {
	ended := 0
	for _, s := range p.sessions {
		if s.over {
			ended++
		}
	}
	if len(p.core.authorized) > ended {
		t.Fatalf("AZ-21 %d authorizations of %d sessions that are over", len(p.core.authorized), ended)
	}
}
