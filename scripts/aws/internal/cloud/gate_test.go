package cloud_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/aws/internal/cloud"
)

func TestGate(t *testing.T) {
	gate := cloud.NewGate(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	ask := func(body string) (int, string) {
		w := httptest.NewRecorder()
		gate.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)))
		return w.Code, w.Body.String()
	}
	expect := func(when string, status int, says, body string) {
		t.Helper()
		if code, text := ask(body); code != status || !strings.Contains(text, says) {
			t.Errorf("%s: %d %q, want %d with %q", when, code, text, status, says)
		}
	}
	expect("open", http.StatusOK, "hello", "hello")
	gate.Fail(cloud.Failure{Status: http.StatusBadRequest, Code: "ThrottlingException"})
	expect("failing", http.StatusBadRequest, `"__type":"ThrottlingException"`, "hello")
	gate.Fail(cloud.Failure{Status: http.StatusBadRequest, Code: "AccessDeniedException", Naming: `"crm"`})
	expect("failing for another", http.StatusOK, `{"SecretId":"erp"}`, `{"SecretId":"erp"}`)
	expect("failing for this one", http.StatusBadRequest, "AccessDenied", `{"SecretId":"crm"}`)
	gate.Mend()
	expect("mended", http.StatusOK, "crm", `"crm"`)
}
