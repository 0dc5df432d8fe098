package sandbox

import (
	"net/http"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tokenvend/tokenvend/pkg/redact"
)

// browserCookie identifies a browser at one server; its path separates the servers.
const browserCookie = "sandbox-session"

// signedInFor is how long a browser stays signed in.
const signedInFor = 12 * time.Hour

// browser is one browser at one server.
type browser struct {
	id     string
	server *server
	// user is signed in; empty for none.
	user string
	// csrfToken is in every form; other sites cannot read it.
	csrfToken string
	expiresAt time.Time
}

func (b *browser) secretCSRFToken() redact.Secret { return redact.New(b.csrfToken) }

// browserOf returns the browser of a request, or nil if it is unknown. s.mu is held.
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

// newBrowser makes a browser session. Signing in makes another one, so that a
// session id set by an attacker is useless. s.mu is held.
func (s *Sandbox) newBrowser(srv *server, user string) *browser {
	now := s.clock()
	if len(s.browsers) >= 1024 {
		for id, b := range s.browsers {
			if b.user == "" || !now.Before(b.expiresAt) {
				delete(s.browsers, id)
			}
		}
	}
	b := &browser{id: s.entropy.opaque(32), server: srv, user: user, csrfToken: s.entropy.opaque(32), expiresAt: now.Add(signedInFor)}
	s.browsers[b.id] = b
	return b
}

// cookie is the session cookie of b; for nil it deletes the cookie. s.mu is held.
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

// signIn accepts any e-mail address and redirects to the same page, now signed in.
// s.mu is held.
func (s *Sandbox) signIn(srv *server, b *browser, at, user string) page {
	if !isEmail(user) {
		return srv.problemPage(http.StatusBadRequest, "That is not an e-mail address. Go back and enter one; any address works.")
	}
	delete(s.browsers, b.id)
	return redirectTo(at).withCookie(s.cookie(srv, s.newBrowser(srv, user)))
}

// isEmail accepts any name@host in one line.
func isEmail(text string) bool {
	name, host, _ := strings.Cut(text, "@")
	odd := func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r) || strings.ContainsRune("<>,;@", r)
	}
	return name != "" && host != "" && len(text) <= 254 && utf8.ValidString(text) &&
		strings.IndexFunc(name+host, odd) < 0
}

// logOut ends the browser session before consent, and redirects to the app's
// post-logout redirect URI, if it has one. s.mu is held.
func (s *Sandbox) logOut(srv *server, a authorization, b *browser) page {
	delete(s.browsers, b.id)
	next := srv.page("logged-out", view{})
	if to := a.client.afterLogout; to != "" {
		next = redirectTo(to)
	}
	return next.withCookie(s.cookie(srv, nil))
}

// personOf returns the user from the list of the sign-in page. Any other user may
// consent too.
func (srv *server) personOf(user string) person {
	for _, p := range srv.delegation.people {
		if strings.EqualFold(p.Email, user) {
			return p
		}
	}
	return person{Email: user}
}
