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

// play is a deployment with two principals, and browsers of which nobody knows
// whose they are, doing anything in any order with anything they have seen.
type play struct {
	*world
	sessions []*played
	browsers []*walker
	// issued tells for each code that the provider issued to which state it belongs.
	issued map[string]string
	codes  []string
	states []string
	shown  []string
}

// played is what is true of a session, seen from outside.
type played struct {
	consent.Started
	by         consent.Principal
	connection connection.Name
	startedAt  time.Time
	hand       string
	// departures are the states with their cookies, left the order of the states.
	departures map[string]string
	left       []string
	// confirmed is the confirmation code that was shown, and the code it stands for.
	confirmed, code string
	receivedAt      time.Time
	wrong           int
	over            bool
}

type walker struct{ cookies map[string]string }

func (b *walker) header() []string {
	if len(b.cookies) == 0 {
		return nil
	}
	return []string{ownCookie + "=" + b.cookies[ownCookie]}
}

func newPlay() *play {
	return &play{world: newWorld(), issued: map[string]string{}, browsers: []*walker{{}, {}, {}}, shown: []string{"AAAA-AAAA"}}
}

func principals() []consent.Principal { return []consent.Principal{owner, other} }

func names() []connection.Name { return []connection.Name{crm, "erp"} }

func (p *play) start(t *rapid.T) {
	by := rapid.SampledFrom(principals()).Draw(t, "principal")
	name := rapid.SampledFrom(names()).Draw(t, "connection")
	s, err := p.flow.Start(p.ctx, consent.StartRequest{Connection: name, Principal: by, BaseURL: base})
	if problem.Is(err, problem.RateLimited) {
		return
	}
	if err != nil {
		t.Fatalf("start: %v", err)
	}
	hand := parseState(s)
	p.sessions = append(p.sessions, &played{Started: s, by: by, connection: name, startedAt: p.now, hand: hand, departures: map[string]string{}})
	p.states = append(p.states, hand)
}

func (p *play) session(t *rapid.T) *played {
	if len(p.sessions) == 0 {
		t.Skip("no session yet")
	}
	return rapid.SampledFrom(p.sessions).Draw(t, "session")
}

// proceed has a browser continue from somebody's consent page.
func (p *play) proceed(t *rapid.T) {
	s := p.session(t)
	b := rapid.SampledFrom(p.browsers).Draw(t, "browser")
	page, err := p.door.Show(p.ctx, s.SessionID)
	if err != nil {
		return
	}
	d, err := p.door.Continue(p.ctx, consent.ContinueRequest{SessionID: s.SessionID, CSRF: page.CSRF})
	if err != nil {
		t.Fatalf("the page was shown, but does not continue: %v", err)
	}
	u, err := url.Parse(d.Location)
	if err != nil {
		t.Fatal(err)
	}
	state := u.Query().Get("state")
	s.departures[state] = d.Cookie.Value.Reveal()
	s.left = append(s.left, state)
	p.states = append(p.states, state)
	b.cookies = map[string]string{d.Cookie.Name: d.Cookie.Value.Reveal()}
}

// consentTo has somebody consent at the provider to a request with that state.
func (p *play) consentTo(t *rapid.T) {
	if len(p.states) == 0 {
		t.Skip("no request yet")
	}
	state := rapid.SampledFrom(p.states).Draw(t, "state")
	code := "code-" + strconv.Itoa(len(p.codes))
	p.issued[code] = state
	p.codes = append(p.codes, code)
}

// query puts any code to any state, or the one it belongs to.
func (p *play) query(t *rapid.T) url.Values {
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

func (p *play) owning(state string) *played {
	i := slices.IndexFunc(p.sessions, func(s *played) bool { return strings.HasPrefix(state, hash(s.SessionID)) })
	return p.sessions[i]
}

// receive has a browser arrive at a callback, and checks that it was bound.
func (p *play) receive(t *rapid.T) {
	query := p.query(t)
	b := rapid.SampledFrom(p.browsers).Draw(t, "browser")
	name := rapid.SampledFrom(names()).Draw(t, "path")
	receipt, err := p.door.Receive(p.ctx, consent.CallbackRequest{Connection: name, RawQuery: query.Encode(), Cookies: b.header()})
	s := p.owning(query.Get("state"))
	cookie, left := s.departures[query.Get("state")]
	refused := ""
	switch {
	case !left || cookie != b.cookies[ownCookie]:
		refused = "AZ-22 a browser that did not leave with this state"
	case s.connection != name:
		refused = "OC-09 at the callback of another connection"
	case s.over || s.code != "":
		refused = "AZ-21 a second time"
	case p.now.Sub(s.startedAt) >= 10*time.Minute:
		refused = "OC-07 after ten minutes"
	case slices.Index(s.left, query.Get("state")) < len(s.left)-4:
		refused = "four others left after it"
	}
	if (err != nil) != (refused != "") {
		t.Fatalf("error %v; to be refused: %s", err, refused)
	}
	if err != nil {
		return
	}
	s.over = receipt.Denied
	s.code, s.confirmed, s.receivedAt = query.Get("code"), receipt.ConfirmationCode.Reveal(), p.now
	if !receipt.Denied {
		p.shown = append(p.shown, s.confirmed)
	}
}

// complete has a principal try any session with any confirmation code.
func (p *play) complete(t *rapid.T) {
	s := p.session(t)
	typed := rapid.SampledFrom(append([]string{s.confirmed}, p.shown...)).Draw(t, "confirmation")
	if typed == "" {
		typed = "BBBB-BBBB"
	}
	by := rapid.SampledFrom(principals()).Draw(t, "principal")
	name := rapid.SampledFrom(names()).Draw(t, "path")
	before := len(p.core.adopted)
	err := p.flow.Complete(p.ctx, consent.CompleteRequest{Connection: name, Principal: by,
		SessionID: redact.New(s.SessionID), ConfirmationCode: redact.New(typed)})
	may := by == s.by && name == s.connection && !s.over && s.code != "" && p.now.Sub(s.receivedAt) < 30*time.Minute
	if may && typed != s.confirmed {
		s.wrong++
		s.over = s.wrong == 3
	}
	p.judge(t, s, err, before, may && typed == s.confirmed, s.code)
}

// byHand has a principal hand in any address.
func (p *play) byHand(t *rapid.T) {
	query := p.query(t)
	s := p.owning(query.Get("state"))
	by := rapid.SampledFrom(principals()).Draw(t, "principal")
	name := rapid.SampledFrom(names()).Draw(t, "path")
	before := len(p.core.adopted)
	err := p.flow.Complete(p.ctx, consent.CompleteRequest{Connection: name, Principal: by,
		RedirectURL: redact.New(base + "/callback/" + string(name) + "?" + query.Encode())})
	may := by == s.by && name == s.connection && !s.over && s.code == "" && p.now.Sub(s.startedAt) < 10*time.Minute && query.Get("state") == s.hand
	if may && query.Has("error") {
		s.over, may = true, false
	}
	p.judge(t, s, err, before, may, query.Get("code"))
}

// judge: an adoption happens when it may, once, with the right code, and never otherwise.
func (p *play) judge(t *rapid.T, s *played, err error, before int, may bool, code string) {
	adopted := p.core.adopted[before:]
	if !may {
		if err == nil || len(adopted) > 0 {
			t.Fatalf("AZ-23 adopted %d, error %v, though it must not be", len(adopted), err)
		}
		return
	}
	if err != nil || len(adopted) != 1 || adopted[0].Code.Reveal() != code || adopted[0].Connection.Name != s.connection {
		t.Fatalf("the owner was refused, or another code adopted: %v, %d authorizations", err, len(adopted))
	}
	s.over = true
}

func (p *play) pass(t *rapid.T) {
	p.now = p.now.Add(time.Duration(rapid.IntRange(1, 240).Draw(t, "seconds")) * time.Second)
}

// TestAnyOrder: whatever principals and browsers do in whatever order, a code is
// adopted only for the principal that started, from the browser that left for
// it or by the state made for hands, and once.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPlay()
		t.Repeat(map[string]func(*rapid.T){
			"start": p.start, "continue": p.proceed, "consent": p.consentTo, "receive": p.receive,
			"complete": p.complete, "complete by hand": p.byHand, "pass": p.pass,
			"": func(t *rapid.T) { p.once(t) },
		})
	})
}

// once: each session brings one grant at most.
func (p *play) once(t *rapid.T) {
	ended := 0
	for _, s := range p.sessions {
		if s.over {
			ended++
		}
	}
	if len(p.core.adopted) > ended {
		t.Fatalf("AZ-21 %d authorizations of %d sessions that are over", len(p.core.adopted), ended)
	}
}
