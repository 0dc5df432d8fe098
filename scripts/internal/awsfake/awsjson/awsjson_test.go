package awsjson_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
)

func service() *awsjson.Service {
	return &awsjson.Service{
		Target: "T", Version: "1.1", ErrorPrefix: "p#", MessageName: "Message",
		Operations: map[string]awsjson.Operation{
			"Echo": awsjson.Operate(func(in struct{ Text string }) (map[string]string, error) {
				switch in.Text {
				case "refuse":
					return nil, &awsjson.Error{Status: 409, Code: "Refused", Message: "why"}
				case "break":
					return nil, errors.New("broken")
				}
				return map[string]string{"Text": in.Text}, nil
			}),
		},
	}
}

func TestFrame(t *testing.T) {
	for _, tc := range []struct {
		name, method, target, contentType, body string
		status                                  int
		want                                    string
	}{
		{"an answer", "POST", "T.Echo", "application/x-amz-json-1.1", `{"Text":"a"}`, 200, `{"Text":"a"}`},
		{"a refusal", "POST", "T.Echo", "application/x-amz-json-1.1", `{"Text":"refuse"}`, 409, `{"Message":"why","__type":"p#Refused"}`},
		{"a fault of the fake", "POST", "T.Echo", "application/x-amz-json-1.1", `{"Text":"break"}`, 500, `InternalServerError`},
		{"another service", "POST", "U.Echo", "application/x-amz-json-1.1", `{}`, 400, `UnknownOperationException`},
		{"another operation", "POST", "T.Other", "application/x-amz-json-1.1", `{}`, 400, `UnknownOperationException`},
		{"another method", "GET", "T.Echo", "application/x-amz-json-1.1", ``, 400, `UnknownOperationException`},
		{"another version", "POST", "T.Echo", "application/x-amz-json-1.0", `{}`, 400, `SerializationException`},
		{"an unknown member", "POST", "T.Echo", "application/x-amz-json-1.1", `{"Texts":"a"}`, 400, `ValidationException`},
		{"a body that is too large", "POST", "T.Echo", "application/x-amz-json-1.1", `{"Text":"` + strings.Repeat("a", 16<<20) + `"}`, 413, `RequestEntityTooLarge`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			r := httptest.NewRequest(tc.method, "/", strings.NewReader(tc.body))
			r.Header.Set("X-Amz-Target", tc.target)
			r.Header.Set("Content-Type", tc.contentType)
			r.Header.Set("Authorization", "AWS4-HMAC-SHA256 any")
			service().ServeHTTP(w, r)
			if w.Code != tc.status || !strings.Contains(w.Body.String(), tc.want) {
				t.Errorf("%d %s, want %d %s", w.Code, w.Body, tc.status, tc.want)
			}
			if got := w.Header().Get("Content-Type"); got != "application/x-amz-json-1.1" {
				t.Errorf("content type %q", got)
			}
		})
	}
}

func TestCall(t *testing.T) {
	s := service()
	var out struct{ Text string }
	if err := s.Call("Echo", map[string]string{"Text": "a"}, &out); err != nil || out.Text != "a" {
		t.Errorf("%q, %v", out.Text, err)
	}
	var refused *awsjson.Error
	if err := s.Call("Echo", map[string]string{"Text": "refuse"}, nil); !errors.As(err, &refused) || refused.Status != http.StatusConflict {
		t.Errorf("refused with %v", err)
	}
	if err := s.Call("Other", nil, nil); err == nil {
		t.Error("another operation is answered")
	}
}
