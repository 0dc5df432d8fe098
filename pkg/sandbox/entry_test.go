package sandbox_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

const (
	asForm = "application/x-www-form-urlencoded"
	asJSON = "application/json"
)

// TestEntry_OC73_refusesAnotherShape sends requests that a real server of the entry
// would not understand, beside one that it would.
func TestEntry_OC73_refusesAnotherShape(t *testing.T) {
	toast := map[string]string{"grant_type": "client_credentials", "clientId": "ID", "clientSecret": "SECRET", "userAccessType": "TOAST_MACHINE_CLIENT"}
	zoom := map[string]string{"grant_type": "account_credentials", "account_id": "a"}
	walmart := map[string]string{"grant_type": "client_credentials"}
	headers := []string{"WM_QOS.CORRELATION_ID", "6f1f6d2e-0c44-4b0e-9a3c-0d9b6a1f2c3d", "WM_SVC.NAME", "Walmart Marketplace"}
	for _, c := range []struct {
		name, entry, contentType string
		basic                    bool
		params, changes          map[string]string
		header                   []string
		want                     bool
	}{
		{"toast: JSON", "toast", asJSON, false, toast, nil, nil, true},
		{"toast: a form", "toast", asForm, false, toast, nil, nil, false},
		{"toast: the name of RFC 6749", "toast", asJSON, false, toast, map[string]string{"clientSecret": "", "client_secret": "SECRET"}, nil, false},
		{"toast: no extra parameter", "toast", asJSON, false, toast, map[string]string{"userAccessType": ""}, nil, false},
		{"toast: another value of it", "toast", asJSON, false, toast, map[string]string{"userAccessType": "OTHER"}, nil, false},
		{"zoom: its own grant_type", "zoom-server", asForm, true, zoom, nil, nil, true},
		{"zoom: that of RFC 6749", "zoom-server", asForm, true, zoom, map[string]string{"grant_type": "client_credentials"}, nil, false},
		{"zoom: JSON", "zoom-server", asJSON, true, zoom, nil, nil, false},
		{"walmart: the fixed headers", "walmart", asForm, true, walmart, nil, headers, true},
		{"walmart: no headers", "walmart", asForm, true, walmart, nil, nil, false},
		{"walmart: no UUID", "walmart", asForm, true, walmart, nil, append([]string{headers[0], "1"}, headers[2:]...), false},
		{"walmart: the secret in the form", "walmart", asForm, false, walmart, map[string]string{"client_id": "ID", "client_secret": "SECRET"}, headers, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newFixture(t)
			must(t, g.Play(c.entry))
			id, secret := g.text(c.entry, "client_id"), g.text(c.entry, "client_secret")
			params := maps.Clone(c.params)
			maps.Copy(params, c.changes)
			form, object := url.Values{}, map[string]string{}
			for name, value := range params {
				if value = strings.NewReplacer("ID", id, "SECRET", secret).Replace(value); value != "" {
					form.Set(name, value)
					object[name] = value
				}
			}
			body := form.Encode()
			if c.contentType == asJSON {
				text, err := json.Marshal(object)
				must(t, err)
				body = string(text)
			}
			at := strings.TrimPrefix(g.text(c.entry, "token_url"), g.url)
			request := g.request(http.MethodPost, at, body, append([]string{"Content-Type", c.contentType}, c.header...)...)
			if c.basic {
				request.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
			}
			got := g.send(request)
			if issued := strings.Contains(got.body, "access_token") || strings.Contains(got.body, "accessToken"); issued != c.want {
				t.Errorf("%d %s", got.status, got.body)
			}
		})
	}
}

// text is a member of a connection's file.
func (g *fixture) text(connection, member string) string {
	g.t.Helper()
	var file map[string]any
	must(g.t, json.Unmarshal(g.Connections()[connection], &file))
	text, _ := file[member].(string)
	return text
}

// TestEntry_OC73_presentedOtherwise has the resource refuse a token that is not
// presented as the entry says.
func TestEntry_OC73_presentedOtherwise(t *testing.T) {
	g := newFixture(t)
	must(t, g.Play("shopify"))
	form := url.Values{
		"grant_type": {"client_credentials"}, "expiring": {"1"},
		"client_id": {g.text("shopify", "client_id")}, "client_secret": {g.text("shopify", "client_secret")},
	}
	got := g.send(g.formRequest(strings.TrimPrefix(g.text("shopify", "token_url"), g.url), form))
	wantStatus(t, got, http.StatusOK)
	token, _ := got.json(t)["access_token"].(string)
	at, err := g.Resource("shopify")
	must(t, err)
	at = strings.TrimPrefix(at, g.url)
	wantStatus(t, g.send(g.request(http.MethodGet, at, "", "X-Shopify-Access-Token", token)), http.StatusOK)
	wantStatus(t, g.send(g.request(http.MethodGet, at, "", "Authorization", "Bearer "+token)), http.StatusUnauthorized)
	wantStatus(t, g.send(g.request(http.MethodGet, at, "", "X-Shopify-Access-Token", "Bearer "+token)), http.StatusBadRequest)
}

func TestPlay_refuses(t *testing.T) {
	for entry, want := range map[string]string{"shopfy": "not a name of the provider catalogue", "adp": "offers no OAuth grant"} {
		if err := newFixture(t).Play(entry); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", entry, err)
		}
	}
}
