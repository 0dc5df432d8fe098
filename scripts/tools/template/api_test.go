package template_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/gateway"
)

// methods are those of API Gateway; ANY means all of them.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// routeProblems: API Gateway hands to each function the resources of gateway.Routes.
// On a public resource it takes only the methods that exist, each with a throttle of
// its own, since anyone may call them. On the others it requires IAM and takes every
// method: which of them exist, and the 405 for the others, is the function's to say.
func routeProblems(functions map[string]Function) (found []string) {
	routed := routes()
	for uri, f := range functions {
		var events []string
		for name, e := range f.Events {
			if e.Type != "Api" {
				continue
			}
			if e.Properties.RestAPIID != "Api" {
				found = append(found, fmt.Sprintf("routes %s event %s is not of the API", uri, name))
			}
			events = append(events, strings.TrimSpace(e.Properties.Method+" "+e.Properties.Path+" "+Show(e.Properties.Auth)))
		}
		slices.Sort(events)
		if want := routed[path.Base(uri)]; !slices.Equal(events, want) {
			found = append(found, fmt.Sprintf("routes AZ-11 AZ-01 BI-37 BI-38 %s is given %q, and has routes for %q", uri, events, want))
		}
		if !f.URL.IsZero() {
			found = append(found, "AZ-11 "+uri+" can be called past the API")
		}
	}
	return found
}

// routes returns method, resource and authorization of each function's events.
func routes() map[string][]string {
	byFunction := map[string][]string{}
	for _, r := range gateway.Routes() {
		event := "ANY " + r.Resource
		if r.Public {
			event = r.Method + " " + r.Resource + " {Authorizer: NONE}"
		}
		if !slices.Contains(byFunction[r.Function], event) {
			byFunction[r.Function] = append(byFunction[r.Function], event)
		}
	}
	for _, events := range byFunction {
		slices.Sort(events)
	}
	return byFunction
}

// logged are the variables that the access log may hold.
var logged = []string{
	"requestId", "extendedRequestId", "requestTimeEpoch", "httpMethod", "resourcePath", "status", "error.responseType",
	"identity.userArn", "identity.accountId", "identity.sourceIp", "identity.vpceId", "responseLatency", "integrationLatency", "responseLength",
}

var contextVariable = regexp.MustCompile(`\$[\w.]+`)

// apiProblems are about authorization, rates and logs.
func apiProblems(api API) (found []string) {
	if api.Auth.DefaultAuthorizer != "AWS_IAM" || api.Auth.InvokeRole != "NONE" || api.StageName != "v1" {
		found = append(found, "AZ-11 AZ-08 the API is open, or calls functions with its callers' credentials")
	}
	if !api.Cors.IsZero() {
		found = append(found, "AZ-14 the API allows CORS")
	}
	if !api.CacheClusterEnabled.IsZero() || !api.TracingEnabled.IsZero() || Show(api.DisableOwnName) != "!If [HasDomain, true, false]" {
		found = append(found, "AZ-12 the API caches, traces, or keeps its own host name beside another")
	}
	for _, v := range contextVariable.FindAllString(api.AccessLogSetting.Format, -1) {
		if !slices.Contains(logged, strings.TrimPrefix(v, "$context.")) {
			found = append(found, "AZ-12 the access log holds "+v)
		}
	}
	if Show(api.AccessLogSetting.DestinationArn) != "!GetAtt AccessLog.Arn" || !json.Valid([]byte(api.AccessLogSetting.Format)) {
		found = append(found, "AZ-12 there is no access log in JSON")
	}
	return append(found, throttleProblems(api.MethodSettings)...)
}

func throttleProblems(settings []MethodSetting) (found []string) {
	rates := map[string]string{}
	for _, s := range settings {
		rates[s.HTTPMethod+" "+strings.ReplaceAll(strings.TrimPrefix(s.ResourcePath, "/"), "~1", "/")] = Show(s.Rate) + " " + Show(s.Burst)
		if s.DataTraceEnabled == nil || *s.DataTraceEnabled || s.CachingEnabled == nil || *s.CachingEnabled || s.LoggingLevel != "OFF" {
			found = append(found, "AZ-12 bodies are logged or cached for "+s.ResourcePath)
		}
	}
	want := map[string]string{
		"* *": "!Ref RequestsPerSecond !Ref RequestsPerSecond",
		"POST /connections/{connection}/authorization":                    "10 10",
		"POST /connections/{connection}/subjects/{subject}/authorization": "10 10",
	}
	for _, r := range gateway.Routes() {
		if r.Public {
			want[r.Method+" "+r.Resource] = "10 10"
		}
	}
	if !maps.Equal(rates, want) {
		found = append(found, fmt.Sprintf("AZ-15 rates and bursts are %q, want %q", rates, want))
	}
	return found
}

// policyProblems: the resource policy allows exactly the public pages, and otherwise
// denies. An Allow in it is enough without one in IAM.
func policyProblems(api API) (found []string) {
	statements, err := api.Policy()
	if err != nil {
		return []string{"AZ-09 " + err.Error()}
	}
	var pages, connections []string
	for _, r := range gateway.Routes() {
		if r.Public {
			pages = append(pages, "execute-api:/v1/"+r.Method+r.Resource[:strings.Index(r.Resource, "{")]+"*")
		}
	}
	for _, m := range methods {
		connections = append(connections, "execute-api:/v1/"+m+"/connections*")
	}
	want := []struct {
		effect, when, condition string
		resources               []string
	}{
		{"Allow", "", "", pages},
		{"Deny", "IsPrivate", "{StringNotEquals: {aws:SourceVpce: !Ref VpcEndpointId}}", connections},
	}
	if len(statements) != len(want) {
		return []string{fmt.Sprintf("AZ-09 AZ-10 the resource policy has %d statements, want %d", len(statements), len(want))}
	}
	for i, s := range statements {
		resources := slices.Sorted(slices.Values(s.Resources()))
		slices.Sort(want[i].resources)
		if s.Effect != want[i].effect || s.When != want[i].when || Show(s.Condition) != want[i].condition ||
			Show(s.Action) != "execute-api:Invoke" || Show(s.Principal) != "*" || !slices.Equal(resources, want[i].resources) {
			found = append(found, fmt.Sprintf("AZ-09 AZ-10 statement %d: %s %s %q if %s", i+1, s.When, s.Effect, resources, Show(s.Condition)))
		}
	}
	return found
}

// answers maps API Gateway's own responses that a caller can get to the error codes.
var answers = map[string]string{
	"MISSING_AUTHENTICATION_TOKEN": "access_denied", "ACCESS_DENIED": "access_denied", "INVALID_SIGNATURE": "access_denied", "EXPIRED_TOKEN": "access_denied",
	"RESOURCE_NOT_FOUND": "connection_not_found", "REQUEST_TOO_LARGE": "invalid_request", "UNSUPPORTED_MEDIA_TYPE": "invalid_request",
	"THROTTLED": "rate_limited", "WAF_FILTERED": "rate_limited", "INTEGRATION_TIMEOUT": "provider_timeout",
	"DEFAULT_4XX": "invalid_request", "DEFAULT_5XX": "internal_error",
}

// answerProblems: API Gateway's own responses look like the functions'.
func answerProblems(t *testing.T, api API) (found []string) {
	t.Helper()
	looks := code(t).Table(module+"pkg/gateway", "httpStatus")
	if got, want := slices.Sorted(maps.Keys(api.GatewayResponses)), slices.Sorted(maps.Keys(answers)); !slices.Equal(got, want) {
		found = append(found, fmt.Sprintf("AZ-13 API Gateway's own responses are %q, want %q", got, want))
	}
	for kind, r := range api.GatewayResponses {
		if problem := answerProblem(r, answers[kind], looks[answers[kind]]); problem != "" {
			found = append(found, "AZ-13 AZ-16 "+kind+": "+problem)
		}
	}
	return found
}

// answerProblem compares one response with the status and title of an error code.
func answerProblem(r GatewayResponse, code string, look []string) string {
	headers := maps.Clone(r.ResponseParameters.Headers)
	if _, waits := headers["Retry-After"]; waits != (r.StatusCode == 429) {
		return "Retry-After is for 429"
	}
	delete(headers, "Retry-After")
	if !maps.Equal(headers, map[string]string{"Content-Type": "'application/problem+json'", "Cache-Control": "'no-store'", "Pragma": "'no-cache'", "X-Content-Type-Options": "'nosniff'"}) {
		return fmt.Sprintf("its headers are %q", headers)
	}
	text, only := r.ResponseTemplates["application/json"]
	if !only || len(r.ResponseTemplates) != 1 {
		return "it has more templates than the one for every Accept header"
	}
	if v := contextVariable.FindAllString(text, -1); !slices.Equal(v, []string{"$context.extendedRequestId"}) {
		return fmt.Sprintf("it inserts %q unescaped", v)
	}
	var d map[string]any
	if err := json.Unmarshal([]byte(text), &d); err != nil || len(look) != 2 {
		return fmt.Sprintf("it is not a problem document of a known code (%v)", err)
	}
	want := map[string]any{
		"type": "urn:tokenvend:error:" + code, "title": look[1], "status": float64(r.StatusCode), "detail": d["detail"], "instance": "$context.extendedRequestId",
		"error": code, "error_description": d["detail"], "retryable": code == "rate_limited" || code == "provider_timeout",
	}
	if !maps.Equal(d, want) || d["detail"] == "" {
		return fmt.Sprintf("it is %v, want %v", d, want)
	}
	if s := strconv.Itoa(r.StatusCode); s != look[0] && !(code == "invalid_request" && (s == "413" || s == "415")) {
		return "its status is " + s
	}
	return ""
}
