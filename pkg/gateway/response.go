package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// response is the response to one event.
type response struct {
	status int
	header header
	// body is sent as JSON; if it is nil, html is sent.
	body any
	html []byte
}

// header holds the response headers that this API uses. Empty ones are left out.
type header struct {
	Allow                 string `json:"Allow,omitempty"`
	ContentType           string `json:"Content-Type,omitempty"`
	RetryAfter            string `json:"Retry-After,omitempty"`
	ContentSecurityPolicy string `json:"Content-Security-Policy,omitempty"`
	ReferrerPolicy        string `json:"Referrer-Policy,omitempty"`
	XFrameOptions         string `json:"X-Frame-Options,omitempty"`
	Location              string `json:"Location,omitempty"`
	SetCookie             string `json:"Set-Cookie,omitempty"`
	CacheControl          string `json:"Cache-Control,omitempty"`
	Pragma                string `json:"Pragma,omitempty"`
	XContentTypeOptions   string `json:"X-Content-Type-Options,omitempty"`
}

// proxyResponse is the form that API Gateway expects of a Lambda function.
type proxyResponse struct {
	StatusCode int    `json:"statusCode"`
	Headers    header `json:"headers"`
	Body       string `json:"body"`
}

// encode writes the response in API Gateway's form. No cache on the way may keep
// a token (RFC 6749 §5.1), and no response is worth caching.
func (r response) encode() ([]byte, error) {
	body := r.html
	if r.body != nil {
		var err error
		if body, err = encodeJSON(r.body); err != nil {
			return nil, fmt.Errorf("encode a response body: %w", err)
		}
	}
	r.header.CacheControl, r.header.Pragma, r.header.XContentTypeOptions = "no-store", "no-cache", "nosniff"
	return encodeJSON(proxyResponse{StatusCode: r.status, Headers: r.header, Body: string(body)})
}

// encodeJSON writes JSON that leaves & < > as they are: it is not embedded in
// HTML, and addresses in it stay readable.
func encodeJSON(value any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(value)
	return bytes.TrimSuffix(text.Bytes(), []byte("\n")), err
}

// retryAfterHeader rounds up to whole seconds, so that a retry at that moment is
// not too early. It is empty when there is nothing to wait for.
func retryAfterHeader(d time.Duration) string {
	if d <= 0 {
		return ""
	}
	return strconv.FormatInt(int64(math.Ceil(d.Seconds())), 10)
}

func ok(body any) response {
	return response{status: http.StatusOK, header: header{ContentType: "application/json"}, body: body}
}
