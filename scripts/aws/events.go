package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
)

// declarations are the connections that the saved events name, by the names of
// their secrets.
func declarations(provider string) map[string]string {
	plain := func(name, more string) string {
		return fmt.Sprintf(`{"provider":"oauth2","client_id":%q,"client_secret":"hush","token_url":"%s/%[1]s/token"%[3]s}`, name, provider, more)
	}
	delegated := func(name, more string) string {
		return fmt.Sprintf(`{"provider":"creative-force","grant_type":"authorization_code","client_id":"x","client_secret":"hush",
			"token_url":"%s/%s/token","authorization_url":"https://login.example.com/%[2]s/authorize"%[3]s}`, provider, name, more)
	}
	const app = `{"principal":"arn:aws:iam::111122223333:role/app"%s}`
	return map[string]string{
		"creative-force": fmt.Sprintf(`{"provider":"creative-force","client_id":"x","client_secret":"hush","token_url":"%s/creative-force/token"}`, provider),
		"agile-now":      fmt.Sprintf(`{"provider":"agile-now","client_id":"x","client_secret":"hush","base_url":"%s/agile-now"}`, provider),
		"cliquify":       fmt.Sprintf(`{"provider":"cliquify","client_id":"x","client_secret":"hush","token_url":"%s/cliquify/token"}`, provider),
		"studio":         delegated("studio", ""),
		"gallery":        delegated("gallery", `,"callers":[`+fmt.Sprintf(app, `,"subjects":["anna","bert","default"]`)+`]`),
		"lapsed":         delegated("lapsed", `,"issuer":"https://login.example.com"`),
		"abroad":         delegated("abroad", `,"redirect_uri":"https://desk.example.com/oauth/landing"`),
		"crm": plain("crm", `,"scope":"contacts.read","allowed_scopes":["contacts.read","contacts.write"],"callers":[`+
			fmt.Sprintf(app, "")+`]`),
		"erp": plain("erp", ""), "down": plain("down", ""), "refused": plain("refused", ""), "garbled": plain("garbled", ""),
		"shop":   `{"connections":{"eu":` + plain("shop-eu", "") + `,"us":` + plain("shop-us", "") + `}}`,
		"broken": `{"provider":"oauth2","clientid":"x","client_secret":"hush","token_url":"https://idp.example.com/token"}`,
	}
}

// answer is every connection's token endpoint. The first part of the path is the
// connection's name.
func answer(w http.ResponseWriter, r *http.Request) {
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	w.Header().Set("Content-Type", "application/json")
	token := fmt.Sprintf(`{"token_type":"Bearer","expires_in":3600,"access_token":"synthetic-token-%s"}`, name)
	switch name {
	case "refused":
		w.WriteHeader(http.StatusUnauthorized)
		token = `{"error":"invalid_client"}`
	case "lapsed":
		w.WriteHeader(http.StatusBadRequest)
		token = `{"error":"invalid_grant"}`
	case "garbled":
		token = `<html>maintenance</html>`
	case "down":
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(http.StatusServiceUnavailable)
		token = ""
	case "cliquify":
		token = `{"success":true,"token":` + token + `}`
	}
	_, _ = io.WriteString(w, token) // a client that has gone reads nothing
}

// withoutHistory are the statuses of events whose golden answer depends on what
// happened before: on consent sessions, grants and tokens that only the tests of
// the gateway make.
var withoutHistory = map[string]int{
	// The consent session does not exist.
	"connections-complete-manual-code": http.StatusGone, "connections-complete-manual-other-state": http.StatusGone,
	"connections-complete-manual": http.StatusGone, "connections-complete-lower-case": http.StatusGone,
	"connections-complete-not-yet": http.StatusGone, "connections-complete-other-connection": http.StatusGone,
	"connections-complete-other-principal": http.StatusGone, "connections-complete-other-subject": http.StatusGone,
	"connections-complete-refused": http.StatusGone, "connections-complete-wrong-code": http.StatusGone, "connections-complete": http.StatusGone,
	"consent-callback-longest-code": http.StatusGone, "consent-callback-manual-state": http.StatusGone, "consent-callback-denied": http.StatusGone,
	"consent-callback-issuer-with-slash": http.StatusGone, "consent-callback-issuer": http.StatusGone, "consent-callback-no-cookie": http.StatusGone,
	"consent-callback-other-browser": http.StatusGone, "consent-callback-other-connection": http.StatusGone,
	"consent-callback-provider-error": http.StatusGone, "consent-callback-two-cookie-headers": http.StatusGone,
	"consent-callback-wrong-issuer": http.StatusGone, "consent-callback": http.StatusGone, "consent-page-foreign-redirect-uri": http.StatusGone,
	"consent-page": http.StatusGone, "consent-callback-code-and-error": http.StatusGone, "consent-callback-line-end": http.StatusGone,
	"consent-callback-long-code": http.StatusGone, "consent-callback-neither": http.StatusGone, "consent-callback-nul": http.StatusGone,
	"consent-callback-script-error": http.StatusGone, "consent-callback-two-codes": http.StatusGone,
	// The form's token has expired.
	"consent-continue-script": http.StatusBadRequest, "consent-continue": http.StatusBadRequest,
	// The date in the event has passed.
	"connections-import": http.StatusBadRequest,
	// No token of this connection is younger than 30 seconds.
	"vend-post-rejected-too-new": http.StatusOK,
}
