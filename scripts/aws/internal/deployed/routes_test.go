package deployed_test

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/tokenvend/tokenvend/pkg/gateway"
)

// The texts of the stack's gateway responses. No function ran where one is the answer.
const (
	notSigned    = "the request is not signed"
	badSignature = "the signature does not match"
)

// byGateway judges whether API Gateway refused the request with this text, in the form
// of the template.
func byGateway(text string) func(answer) bool {
	return func(a answer) bool {
		return a.status == http.StatusForbidden && a.problem() == "access_denied" && strings.Contains(string(a.body), text) &&
			a.header.Get("Cache-Control") == "no-store" && a.header.Get("X-Content-Type-Options") == "nosniff"
	}
}

// byIAM reports whether IAM refused the principal. The emulator has a text of its own
// in place of the stack's gateway response.
func (a answer) byIAM() bool {
	return a.status == http.StatusForbidden && strings.Contains(string(a.body), "is not authorized to perform: execute-api:Invoke")
}

// answers are the functions' statuses for a connection with client credentials, which
// nothing can be consented to, and for a body {}. Others are 400.
var answers = map[string]int{
	"GET /connections": http.StatusOK, "GET /connections/{connection}": http.StatusOK,
	"GET /connections/{connection}/token": http.StatusOK, "POST /connections/{connection}/token": http.StatusOK,
	"DELETE /connections/{connection}/token": http.StatusNoContent,
	"POST /consent/{session}":                http.StatusUnsupportedMediaType,
}

// TestRoutes_AZ01_BI01 calls every route without a signature, with a wrong one, as a
// principal without permission, and with the route's own permission alone.
func TestRoutes_AZ01_BI01_everyRoute(t *testing.T) {
	d := shared(t)
	stranger := d.e.newCaller(t, "stranger")
	names := strings.NewReplacer("{connection}", "creative-force", "{subject}", "anna", "{session}", strings.Repeat("A", 43))
	for i, route := range gateway.Routes() {
		key := route.Method + " " + route.Resource
		t.Run(key, func(t *testing.T) {
			path, body := names.Replace(route.Resource), ""
			if route.Method == http.MethodPost || route.Method == http.MethodPut {
				body = "{}"
			}
			allowed := d.e.newCaller(t, fmt.Sprint("route-", i), d.statement(route.Method, path))
			wrong := aws.Credentials{AccessKeyID: allowed.AccessKeyID, SecretAccessKey: "wrong"}
			for _, c := range []struct {
				what    string
				by      *aws.Credentials
				refused func(answer) bool
			}{
				{"unsigned", nil, byGateway(notSigned)},
				{"badly signed", &wrong, byGateway(badSignature)},
				{"without permission", &stranger, answer.byIAM},
				{"allowed", &allowed, nil},
			} {
				got, err := d.call(t.Context(), c.by, route.Method, path, body)
				served := err == nil && got.status == cmp.Or(answers[key], http.StatusBadRequest) && got.header.Get("Cache-Control") == "no-store"
				if open := route.Public || c.refused == nil; open && !served || !open && (err != nil || !c.refused(got)) {
					t.Errorf("%s: %s %.300s, %v; want the function's answer: %v", c.what, got, got.body, err, open)
				}
			}
		})
	}
}

// statement allows one method of one path of the API.
func (d *deployment) statement(method, path string) string {
	return fmt.Sprintf(`{"Effect":"Allow","Action":"execute-api:Invoke","Resource":"arn:aws:execute-api:%s:%s:%s/v1/%s%s"}`,
		region, account, d.resources["Api"], method, path)
}

// TestRoutes_AZ01_BI02_callerStatement is a caller with exactly the output.
func TestRoutes_AZ01_BI02_callerStatement(t *testing.T) {
	d := shared(t)
	caller := d.e.newCaller(t, "with-caller-statement", d.only("creative-force"))
	for _, c := range []struct {
		method, path string
		allowed      bool
	}{
		{"GET", "/connections/creative-force/token", true},
		{"POST", "/connections/creative-force/token", true},
		{"DELETE", "/connections/creative-force/token", false},
		{"GET", "/connections/creative-force/subjects/anna/token", false},
		{"GET", "/connections/agile-now/token", false},
		{"GET", "/connections/absent/token", false},
		{"GET", "/connections/creative-force", false},
		{"GET", "/connections", false},
		{"POST", "/connections/creative-force/authorization", false},
	} {
		got, err := d.signed(t.Context(), caller, c.method, c.path, "")
		if err != nil || (c.allowed && got.status != http.StatusOK) || (!c.allowed && !got.byIAM()) {
			t.Errorf("%s %s: %s %v, want allowed %v", c.method, c.path, got, err, c.allowed)
		}
	}
}

// TestRoutes_BI10_BI37_methods calls methods that no route has.
func TestRoutes_BI10_BI37_methods(t *testing.T) {
	d := shared(t)
	for _, path := range []string{"/consent/" + strings.Repeat("A", 43), "/callback/creative-force"} {
		for _, method := range []string{"HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			got, err := d.unsigned(t.Context(), method, path, "")
			if err != nil || got.status != http.StatusForbidden || (method != "HEAD" && !byGateway(notSigned)(got)) {
				t.Errorf("BI-37 %s %s: %s, %v; want the gateway's 403", method, path, got, err)
			}
		}
	}
	for _, path := range []string{"/", "/absent", "/connections/creative-force/absent"} {
		if got, err := d.signed(t.Context(), administrator, "GET", path, ""); err != nil || !byGateway(notSigned)(got) {
			t.Errorf("AZ-01 %s: %s, %v; want the gateway's 403", path, got, err)
		}
	}
	got, err := d.signed(t.Context(), administrator, "PATCH", "/connections/creative-force/token", "")
	if err != nil || got.status != http.StatusMethodNotAllowed || got.header.Get("Allow") != "GET, POST, DELETE" {
		t.Errorf("BI-10 PATCH of a token: %s, Allow %q, %v", got, got.header.Get("Allow"), err)
	}
}
