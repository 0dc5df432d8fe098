package doctor

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/scripts/internal/client"
)

// judge reads permission, secret and provider from the response.
func (d Doctor) judge(base *url.URL, answer client.Answer) []Check {
	answered := answer.Error()
	code := problem.Code(answered.Code)
	switch {
	case answer.StatusCode/100 == 2:
		return d.success(answer.Body)
	case code == "":
		return []Check{d.gateway(base, answer)}
	case code == problem.AccessDenied:
		return []Check{failed("permission", answered.Detail, "name this principal, the scope and the subject in the member callers of the connection's declaration")}
	}
	allowed := passed("permission", "IAM allows the request")
	what := ""
	switch code {
	case problem.ConnectionNotFound, problem.ConnectionMisconfigured:
		what = "secret"
	case problem.ProviderRejected, problem.ProviderMalformed, problem.ProviderUnavailable, problem.ProviderTimeout:
		what = "provider"
	case problem.AuthorizationRequired:
		what = "consent"
	default:
		what = "service"
	}
	return []Check{allowed, failed(what, strings.ReplaceAll(answered.Error(), "\n", "; "), d.fix(code))}
}

func (d Doctor) success(text []byte) []Check {
	allowed := passed("permission", "IAM allows the request")
	var vended struct {
		TokenID   string `json:"token_id"`
		ExpiresAt string `json:"expires_at"`
		Stale     bool   `json:"stale"`
	}
	if json.Unmarshal(text, &vended) != nil {
		return []Check{failed("service", "the answer is not the service's JSON", "end the URL with the stage, such as /v1")}
	}
	if d.Connection == "" {
		return []Check{allowed}
	}
	checks := []Check{allowed, passed("secret", "the declaration of %s is valid", d.Connection)}
	if vended.Stale {
		return append(checks, failed("provider", "the last refresh failed; the token is valid until "+vended.ExpiresAt,
			"the connection's status has the reason: connections get "+string(d.Connection)))
	}
	return append(checks, passed("provider", "token %s, until %s", vended.TokenID, cmp.Or(vended.ExpiresAt, "it is rejected")))
}

// fix says what to do about an error of the service.
func (d Doctor) fix(code problem.Code) string {
	name := string(d.Connection)
	switch code {
	case problem.ConnectionNotFound:
		return "check the name (connections ls), or declare the connection: connections add " + name
	case problem.ConnectionMisconfigured:
		return "the status names the member to correct: connections get " + name
	case problem.AuthorizationRequired:
		return "have a user consent: consent start " + name
	case problem.ProviderRejected:
		return "check client_id, client_secret and scope of the declaration with the provider; for a rotated secret: connections add --replace " + name
	case problem.ProviderMalformed:
		return "the provider's response is not a token response; check token_url, and the member response of the declaration"
	case problem.ProviderUnavailable, problem.ProviderTimeout:
		return "the provider does not answer; check token_url and the provider's status page, and try again later"
	case problem.InvalidRequest, problem.InvalidScope:
		return "the detail says what to change in the request"
	case problem.StoreUnavailable, problem.InternalError:
		return "see the log of the function vend for the request, and the operator's runbook in functions/README.md"
	default:
		return "try again after the time in the detail"
	}
}

// gateway explains an error of API Gateway, which has no code of the service.
func (d Doctor) gateway(base *url.URL, answer client.Answer) Check {
	kind, _, _ := strings.Cut(answer.Header.Get("X-Amzn-Errortype"), ":")
	detail := strings.TrimSpace(fmt.Sprintf("%s %s", answer.Status, kind))
	fix := "end the URL with the stage, such as /v1, and check that it is this service's"
	switch kind {
	case "AccessDeniedException":
		fix = "the caller's policy needs this statement, and no policy may deny it: " + d.statement(base)
	case "InvalidSignatureException", "IncompleteSignatureException":
		fix = "sign with the credentials of an existing key, for the API's own region (--region); a proxy must not change the path or the headers"
	case "UnrecognizedClientException", "InvalidClientTokenId":
		fix = "the access key does not exist or is inactive; sign in again, or use another --profile"
	case "ExpiredTokenException":
		fix = "the credentials have expired; sign in again (aws sso login)"
	case "ForbiddenException":
		fix = "use the API's own URL or its custom domain's; a private API is reached through its VPC endpoint only, whose policy must allow it"
	}
	return failed("permission", detail, fix)
}

// statement is the IAM statement for a caller of the connection.
func (d Doctor) statement(base *url.URL) string {
	name := cmp.Or(string(d.Connection), "NAME")
	if d.Statement != "" {
		return strings.ReplaceAll(d.Statement, "/NAME/", "/"+name+"/")
	}
	api, _, _ := strings.Cut(base.Hostname(), ".")
	if !strings.Contains(base.Hostname(), ".execute-api.") {
		api = "*" // a custom domain's name does not tell
	}
	arn := func(method string) string {
		return fmt.Sprintf(`"arn:aws:execute-api:%s:*:%s/v1/%s/connections/%s/token"`, d.Client.Region, api, method, name)
	}
	return `{"Effect":"Allow","Action":"execute-api:Invoke","Resource":[` + arn("GET") + "," + arn("POST") + `]}`
}
