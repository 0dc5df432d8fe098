package sandbox

import (
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tokenvend/tokenvend/pkg/redact"
)

// browserCookie names a browser to one server; its path keeps the servers apart.
const browserCookie = "sandbox-session"

// signedInFor is how long a browser is remembered.
const signedInFor = 12 * time.Hour

// browser is one browser at one server.
type browser struct {
	id     string
	server *server
	// user is who is signed in; empty is nobody.
	user string
	// guard stands in every form, where another site cannot read it.
	guard     string
	expiresAt time.Time
}

func (b *browser) secretGuard() redact.Secret { return redact.New(b.guard) }

// browserOf is the browser that asks, or nil for one that is not known. s.mu is held.
func (s *Sandbox) browserOf(srv *server, r *http.Request) *browser {
	sent, err := r.Cookie(browserCookie)
	if err != nil {
		return nil
	}
	b := s.browsers[sent.Value]
	if b == nil || b.server != srv || !s.clock().Before(b.expiresAt) {
		return nil
	}
	return b
}

// newBrowser gives a browser an identity. It gets another one when somebody
// signs in, so that an identity planted before is of no use. s.mu is held.
func (s *Sandbox) newBrowser(srv *server, user string) *browser {
	now := s.clock()
	if len(s.browsers) >= 1024 {
		for id, b := range s.browsers {
			if b.user == "" || !now.Before(b.expiresAt) {
				delete(s.browsers, id)
			}
		}
	}
	b := &browser{id: s.entropy.opaque(32), server: srv, user: user, guard: s.entropy.opaque(32), expiresAt: now.Add(signedInFor)}
	s.browsers[b.id] = b
	return b
}

// cookie makes the browser remember who it is; nil makes it forget. s.mu is held.
func (s *Sandbox) cookie(srv *server, b *browser) *http.Cookie {
	c := &http.Cookie{
		Name: browserCookie, Path: srv.prefix + "/", MaxAge: -1, HttpOnly: true,
		Secure: strings.HasPrefix(s.baseURL, "https:"), SameSite: http.SameSiteLaxMode,
	}
	if b != nil {
		c.Value, c.MaxAge = b.id, int(signedInFor/time.Second)
	}
	return c
}

// signIn believes anybody who names an e-mail address, and shows the same
// address again, now as that user. s.mu is held.
func (s *Sandbox) signIn(srv *server, b *browser, at, user string) page {
	if !isEmail(user) {
		return srv.problemPage(http.StatusBadRequest, "That is no e-mail address. Go back and name one; any will do.")
	}
	delete(s.browsers, b.id)
	return goTo(at).with(s.cookie(srv, s.newBrowser(srv, user)))
}

// isEmail asks for little: somebody, at some place, in one line.
func isEmail(text string) bool {
	name, place, _ := strings.Cut(text, "@")
	odd := func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r) || strings.ContainsRune("<>,;@", r)
	}
	return name != "" && place != "" && len(text) <= 254 && utf8.ValidString(text) &&
		strings.IndexFunc(name+place, odd) < 0
}

// logOut forgets the browser before consent was given, and sends it to the
// app's Post Logout Redirect URI, if it has one. s.mu is held.
func (s *Sandbox) logOut(srv *server, a authorization, b *browser) page {
	delete(s.browsers, b.id)
	next := srv.page("logged-out", view{})
	if to := a.client.afterLogout; to != "" {
		next = goTo(to)
	}
	return next.with(s.cookie(srv, nil))
}

// personOf is the user as the sign-in page knows them; anybody else may consent.
func (srv *server) personOf(user string) person {
	for _, p := range srv.delegation.people {
		if strings.EqualFold(p.Email, user) {
			return p
		}
	}
	return person{Email: user}
}
