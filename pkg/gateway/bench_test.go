package gateway_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/gateway"
	"github.com/tokenvend/tokenvend/pkg/gateway/restevent"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// BenchmarkEventToResponse is a complete vend from memory: decode the event, write
// the audit line, encode the response. Its baseline only decodes the event into the
// type of aws-lambda-go.
func BenchmarkEventToResponse(b *testing.B) {
	payload := realisticEvent()
	clock := func() time.Time { return now }
	h := gateway.Vend(gateway.VendConfig{Tokens: &warmCore{}, Now: clock,
		Audit: audit.NewWriter(audit.Config{Output: io.Discard, Now: clock})})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Invoke(b.Context(), payload); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeTypedEvent(b *testing.B) {
	payload := realisticEvent()
	b.ReportAllocs()
	for b.Loop() {
		var e events.APIGatewayProxyRequest
		if err := json.Unmarshal(payload, &e); err != nil {
			b.Fatal(err)
		}
	}
}

// warmCore always has a token.
type warmCore struct{ core }

func (*warmCore) Vend(context.Context, vending.Request) (vending.Vended, error) {
	return freshToken(), nil
}

// realisticEvent has the size and the headers of an event from API Gateway.
func realisticEvent() []byte {
	header := http.Header{}
	for name, value := range map[string]string{
		"Accept": "*/*", "Accept-Encoding": "gzip", "CloudFront-Forwarded-Proto": "https", "CloudFront-Is-Desktop-Viewer": "true",
		"CloudFront-Is-Mobile-Viewer": "false", "CloudFront-Is-SmartTV-Viewer": "false", "CloudFront-Is-Tablet-Viewer": "false",
		"CloudFront-Viewer-ASN": "16509", "CloudFront-Viewer-Country": "DE",
		"User-Agent": "python-requests/2.32.3", "Via": "1.1 0123456789abcdef0123456789abcdef.cloudfront.net (CloudFront)",
		"X-Amz-Cf-Id":     "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV==",
		"X-Amz-Date":      "20260101T120000Z",
		"X-Amzn-Trace-Id": "Root=1-5e1b4151-5ac6c58f5b5dbd3b5c6d7e8f",
		"Authorization":   "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/eu-central-1/execute-api/aws4_request, SignedHeaders=host;x-amz-date, Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
	} {
		header.Set(name, value)
	}
	caller := signer
	caller.AccessKey = "AKIDEXAMPLE"
	return restevent.Request{Path: "/connections/crm/token", Identity: caller, Header: header, SourceIP: "192.0.2.1", ReceivedAt: now}.Encode()
}
