package tokenvendtest_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/client/tokenvend"
	"github.com/tokenvend/tokenvend/pkg/client/tokenvendtest"
)

func TestService(t *testing.T) {
	service := tokenvendtest.New(t)
	resource := httptest.NewServer(service.Resource("crm", http.NotFoundHandler()))
	defer resource.Close()
	client := service.Client()
	application := &http.Client{Transport: client.Transport("crm", nil)}
	get := func() int {
		t.Helper()
		response, err := application.Get(resource.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		return response.StatusCode
	}
	if got := get(); got != 404 {
		t.Errorf("with the first token: %d, want the handler's 404", got)
	}
	service.Revoke("crm")
	if got := get(); got != 404 || service.Requests("crm") != 2 {
		t.Errorf("after the revocation: %d with %d requests, want 404 with 2", got, service.Requests("crm"))
	}
	if token, err := client.Token(t.Context(), "crm"); err != nil || token.Value() != "token_2" {
		t.Errorf("token %v, error %v", token, err)
	}
}

func TestFail(t *testing.T) {
	service := tokenvendtest.New(t)
	service.Fail("crm", &tokenvendtest.Failure{Status: 503, Code: "provider_unavailable", Retryable: true, RetryAfter: time.Minute})
	_, err := service.Client().Token(t.Context(), "crm")
	var e *tokenvend.Error
	if !errors.As(err, &e) || e.Code != "provider_unavailable" || e.RetryAfter != time.Minute || e.RequestID != "test" {
		t.Errorf("error %v", err)
	}
	service.Fail("crm", nil)
	if token, err := service.Client().Token(t.Context(), "crm"); err != nil || token.Value() != "token_1" {
		t.Errorf("token %v, error %v", token, err)
	}
}
