package sandbox

import (
	"io"
	"net/http"
	"strings"
)

// helpText is the page at "/"; BASE is replaced by the base URL.
const helpText = `tokenvend sandbox: the providers' authorization servers, with fault injection.

Servers (token endpoint, and a resource that refuses invalid tokens)
  creative-force  POST BASE/creative-force/connect/token          GET BASE/creative-force/resource
  agile-now       POST BASE/agile-now/oAuth/rest/v2/Token         GET BASE/agile-now/resource
  cliquify        POST BASE/cliquify/oauth/access-token           GET BASE/cliquify/resource
  oauth2          POST BASE/oauth2/token                          GET BASE/oauth2/resource

  Any entry of the provider catalogue can be played too (make run: TOKENVEND_SANDBOX_PROVIDERS). The
  server of a connection is then below BASE/entry/CONNECTION: the endpoints with their host as the
  first segment of the path, and /resource, which wants the token as the provider does.

  Is a token valid?
    curl -i -H "Authorization: Bearer $TOKEN" BASE/creative-force/resource

For users (authorization endpoint with its pages, and revocation, RFC 7009)
  creative-force  GET BASE/creative-force/connect/authorize       POST BASE/creative-force/connect/revocation
  oauth2          GET BASE/oauth2/authorize                       POST BASE/oauth2/revoke

  Sign in with any e-mail address; freelancer@studio.example lacks the permission to allow access.
  A redirect URI must be registered first, exactly. Creative Force accepts none on localhost unless
  the sandbox is configured to (make run does so). Codes are valid for 30 minutes and work once;
  refresh tokens are valid for 30 days, and need the scope offline_access.

Control endpoints, each for one connection (creative-force, creative-force-user, agile-now, cliquify)

  State: requests to the token endpoint by outcome, valid tokens, faults
    curl BASE/control
    curl BASE/control/creative-force
    curl -X DELETE BASE/control/creative-force/counters

  Generate a new client secret; returns the new connection file. Creative Force revokes all tokens.
  update=true also rewrites the local file, grace=seconds keeps the previous secret valid.
    curl -X POST 'BASE/control/creative-force/rotate?update=true'
    curl -X POST 'BASE/control/agile-now/rotate?update=true&grace=60'

  Change the user on whose behalf a Creative Force client acts; its tokens are revoked
    curl BASE/control/creative-force/user -d '{"user":"someone.else@studio.example"}'

  Revoke one token, or all tokens of a connection
    curl BASE/control/cliquify/revoke -d '{"token":"..."}'
    curl -X POST BASE/control/cliquify/revoke

  Lifetime of new tokens in seconds; 0 is the documented one
    curl BASE/control/cliquify/lifetime -d '{"expires_in":20}'

  Faults of the token endpoint: until cleared, or for the next "count" requests. An array is a script.
    curl BASE/control/creative-force/fault -d '{"status":503,"retry_after":"30","count":2}'
    curl BASE/control/creative-force/fault -d '{"status":400,"body":"{\"error\":\"invalid_client\"}"}'
    curl BASE/control/creative-force/fault -d '{"body":"<h1>maintenance</h1>","content_type":"text/html"}'
    curl BASE/control/creative-force/fault -d '{"latency":2.5}'
    curl BASE/control/creative-force/fault -d '{"hang":true}'
    curl BASE/control/creative-force/fault -d '{"redirect":"https://example.com/","status":307}'
    curl BASE/control/creative-force/fault -d '{"reset":true,"processed":true}'
    curl BASE/control/creative-force/fault -d '{"truncate":true,"count":1}'
    curl BASE/control/creative-force/fault -d '[{"count":3},{"status":500}]'
    curl -X DELETE BASE/control/creative-force/fault
    curl BASE/control/creative-force-user/fault -d '{"on":"refresh_token","reset":true,"processed":true,"count":1}'
    curl BASE/control/creative-force-user/fault -d '{"on":"revocation","status":503,"retry_after":"1"}'
  "processed" mints the token before its response is lost; "hang" after a body leaves it unfinished;
  a count alone lets that many requests pass; "on" is one grant type, or revocation.

Delegated clients (creative-force-user)

  Register the redirect URIs, and the one for users who log out before consent
    curl BASE/control/creative-force-user/redirects -d '{"redirect_uris":["https://app.example/callback"]}'
    curl BASE/control/creative-force-user/redirects -d '{"post_logout_redirect_uri":"https://app.example/"}'

  Refresh tokens. rotation: never, always, detect (a second use ends the grant), or until_used (valid
  until the client has shown that it holds the new one). grace: seconds for which a replaced one still
  works, with always or detect. repeat: the member refresh_token of a response without a new one:
  same, omit, empty, null. life: lifetime in seconds, 0 is the documented one. state_life: responses
  have refresh_token_expires_in. Absent members have their default.
    curl BASE/control/creative-force-user/refresh -d '{"rotation":"detect","grace":10}'
    curl BASE/control/creative-force-user/refresh -d '{"repeat":"null","life":3600,"state_life":true}'

  Withdraw the consent of one user, or of all; expire all refresh tokens; forget all codes
    curl BASE/control/creative-force-user/end -d '{"user":"ada@studio.example"}'
    curl -X POST BASE/control/creative-force-user/end
    curl -X POST BASE/control/creative-force-user/expire
    curl -X POST BASE/control/creative-force-user/forget

  The iss of authorization responses (RFC 9207): "true", "false" for another server, "" for none
    curl BASE/control/creative-force-user/issuer -d '{"iss":"false"}'

  The counters show how often a refresh token with a successor was used ("superseded"), and how often
  after the client had shown that it holds the successor ("reused").

  Register another client at the oauth2 server; returns its connection file. client_auth is one of
  client_secret_post, client_secret_basic, client_secret_basic_raw, private_key_jwt, none.
    curl -X PUT BASE/control/my-crm -d '{"client_auth":"private_key_jwt","scopes":["read"]}'
  For users: "delegated":true, with redirect_uris, post_logout_redirect_uri, require_pkce, iss,
  id_token and refresh (as above) as needed.
    curl -X PUT BASE/control/my-app -d '{"delegated":true,"redirect_uris":["http://127.0.0.1:8080/v1/callback/my-app"]}'
    curl -X PUT BASE/control/my-erp -d '{"delegated":true,"require_pkce":true,"iss":"true","refresh":{"rotation":"always"}}'
`

// Help documents the servers and all control endpoints in plain text, with commands
// to paste. baseURL is the address of the sandbox.
func Help(baseURL string) string {
	return strings.ReplaceAll(helpText, "BASE", strings.TrimSuffix(baseURL, "/"))
}

func (s *Sandbox) serveHelp(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "use GET", http.StatusMethodNotAllowed)
		return
	}
	s.mu.Lock()
	base := s.baseURL
	s.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, Help(base)) // a client that has left needs no response
}
