package browserclient_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
	"github.com/tokenvend/tokenvend/pkg/sandbox/browserclient"
)

const (
	connection = "app"
	callback   = "https://app.example/callback/app?tenant=1"
)

// invite is a sandbox and the authorization URL of a client there.
func invite(t *testing.T) (*sandbox.Sandbox, string) {
	t.Helper()
	s := sandbox.New(sandbox.Config{})
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.SetBaseURL(server.URL)
	if err := s.Register(sandbox.Client{Connection: connection, ClientID: "c1", Delegated: true, RedirectURIs: []string{callback}}); err != nil {
		t.Fatal(err)
	}
	return s, server.URL + "/oauth2/authorize?" + url.Values{
		"client_id": {"c1"}, "redirect_uri": {callback}, "response_type": {"code"}, "state": {"the state"},
	}.Encode()
}

func TestConsent(t *testing.T) {
	for _, row := range []struct {
		name, user string
		allow      bool
		want       string
	}{
		{"allows as a user of the list", "grace@crm.example", true, "code"},
		{"allows as another user", "x@y.example", true, "code"},
		{"allows as the first user", "", true, "code"},
		{"denies", "grace@crm.example", false, "error"},
	} {
		t.Run("doc "+row.name, func(t *testing.T) {
			_, at := invite(t)
			got, err := browserclient.Consent(t.Context(), nil, at, row.user, row.allow)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(got, callback+"&"+row.want+"=") || !strings.HasSuffix(got, "&state=the+state") {
				t.Errorf("led to %s", got)
			}
		})
	}
	t.Run("doc a request that is refused at once leads back too", func(t *testing.T) {
		_, at := invite(t)
		got, err := browserclient.Consent(t.Context(), nil, strings.Replace(at, "response_type=code", "response_type=x", 1), "", true)
		if err != nil || !strings.Contains(got, "error=unsupported_response_type") {
			t.Errorf("led to %s, %v", got, err)
		}
	})
	t.Run("doc the client's own cookies are used", func(t *testing.T) {
		_, at := invite(t)
		jar, _ := cookiejar.New(nil)
		client := &http.Client{Jar: jar}
		for _, user := range []string{"grace@crm.example", "no e-mail address, but already signed in"} {
			if _, err := browserclient.Consent(t.Context(), client, at, user, true); err != nil {
				t.Error(err)
			}
		}
		if client.CheckRedirect != nil {
			t.Error("the caller's client was changed")
		}
	})
}

func TestConsentErrors(t *testing.T) {
	elsewhere := func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://another.example/?code=secret", http.StatusSeeOther)
	}
	circle := func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.String(), http.StatusSeeOther) }
	blank := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "nothing") }
	gone := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	for name, row := range map[string]struct {
		serve http.HandlerFunc
		want  string
	}{
		"a redirect to another site": {elsewhere, "another.example, which is not the redirect URI"},
		"a circle":                   {circle, "too many pages"},
		"a page without a form":      {blank, "200, no heading"},
		"no response":                {gone, "EOF"},
	} {
		t.Run("doc "+name, func(t *testing.T) {
			server := httptest.NewServer(row.serve)
			t.Cleanup(server.Close)
			_, err := browserclient.Consent(t.Context(), nil, server.URL+"/?redirect_uri="+url.QueryEscape(callback)+"&state=hidden", "", true)
			if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "hidden") {
				t.Errorf("says %v, want %q", err, row.want)
			}
		})
	}
	t.Run("doc the server's own page", func(t *testing.T) {
		_, at := invite(t)
		_, err := browserclient.Consent(t.Context(), nil, strings.Replace(at, "c1", "c2", 1), "", true)
		if err == nil || !strings.Contains(err.Error(), "400, This did not work") {
			t.Errorf("says %v", err)
		}
	})
	t.Run("doc no URL", func(t *testing.T) {
		if _, err := browserclient.Consent(t.Context(), nil, "http://[", "", true); err == nil {
			t.Error("went there")
		}
	})
	t.Run("doc the context ends", func(t *testing.T) {
		_, at := invite(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := browserclient.Consent(ctx, nil, at, "", true); !errors.Is(err, context.Canceled) {
			t.Errorf("says %v", err)
		}
	})
}
