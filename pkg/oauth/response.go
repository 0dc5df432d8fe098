package oauth

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tokenvend/tokenvend/pkg/digest"
	"github.com/tokenvend/tokenvend/pkg/extra"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/strictjson"
)

// maxBody is the largest response body read, in bytes after decoding.
const maxBody = 1 << 20

// response is an HTTP response. Its body is complete, or nil when the status
// makes it irrelevant.
type response struct {
	status      int
	contentType string
	retryAfter  time.Duration
	date        time.Time // zero when there is none
	body        []byte
	scrubber    echoScrubber
}

// readResponse reads the body if the status makes it relevant. A server that is
// unavailable stays so whatever is wrong with its body.
func readResponse(ctx context.Context, resp *http.Response, scrubber echoScrubber, now time.Time) (response, *failure) {
	r := response{
		status:      resp.StatusCode,
		contentType: resp.Header.Get("Content-Type"),
		retryAfter:  retryAfter(resp.Header.Get("Retry-After"), now),
		scrubber:    scrubber,
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		r.date = date
	}
	lines := 0
	for _, values := range resp.Header {
		lines += len(values)
	}
	if lines > maxHeaderLines {
		return r, malformed(ReasonHeaders)
	}
	byStatus := failureOfStatus(r.status)
	if byStatus != nil && byStatus.Kind == Malformed {
		return r, byStatus
	}
	body, failure := readBody(ctx, resp)
	if failure != nil && byStatus != nil && byStatus.Kind == Unavailable {
		body, failure = nil, nil
	}
	r.body = body
	return r, failure
}

// failureOfStatus returns what a status means without its body. It is nil for
// a success: 200 (RFC 6749 §5.1), or what some servers send for it.
func failureOfStatus(status int) *failure {
	switch {
	case isSuccess(status):
		return nil
	case status >= 300 && status <= 399:
		return malformed(ReasonRedirect)
	case status == http.StatusTooManyRequests:
		return fail(Unavailable, ReasonStatus)
	case status >= 400 && status <= 499:
		return fail(Rejected, ReasonStatus)
	case status == 500, status == 502, status == 503, status == 504:
		return failRetryable(Unavailable, ReasonStatus)
	case status >= 500 && status <= 599:
		return fail(Unavailable, ReasonStatus)
	}
	return malformed(ReasonStatus)
}

func isSuccess(status int) bool { return status >= 200 && status <= 203 }

// hints are the likely fixes for statuses that say something about the request.
var hints = map[int]string{
	http.StatusNotFound:             "the server answered 404: check token_url",
	http.StatusMethodNotAllowed:     "the server answered 405: check token_url, or see request.body",
	http.StatusNotAcceptable:        "the server answered 406: it may expect JSON; see request.body",
	http.StatusUnsupportedMediaType: "the server answered 415: it may expect JSON; see request.body",
}

// readBody reads and decodes a body. net/http would decode gzip itself, but only
// if it requested it, and without a limit on the decoded size.
func readBody(ctx context.Context, resp *http.Response) ([]byte, *failure) {
	gzipped, known := isGzipped(resp.Header.Values("Content-Encoding"))
	switch {
	case !known:
		return nil, malformed(ReasonEncoding)
	case resp.ContentLength > maxBody:
		return nil, malformed(ReasonTooLarge)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, classifyBody(ctx, err)
	case len(body) > maxBody:
		return nil, malformed(ReasonTooLarge)
	case gzipped:
		return gunzip(body)
	}
	return body, nil
}

// isGzipped parses Content-Encoding (RFC 9110 §8.4). Only an absent one and a
// single gzip are known.
func isGzipped(values []string) (gzipped, known bool) {
	for _, coding := range strings.Split(strings.Join(values, ","), ",") {
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "", "identity":
		case "gzip", "x-gzip":
			if gzipped {
				return false, false
			}
			gzipped = true
		default:
			return false, false
		}
	}
	return gzipped, true
}

func gunzip(body []byte) ([]byte, *failure) {
	reader, err := gzip.NewReader(bytes.NewReader(body))
	if err == nil {
		body, err = io.ReadAll(io.LimitReader(reader, maxBody+1))
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return nil, failRetryable(Malformed, ReasonTruncated)
	case err != nil:
		return nil, malformed(ReasonEncoding)
	case len(body) > maxBody:
		return nil, malformed(ReasonTooLarge)
	}
	return body, nil
}

// text is the body without leading white space. One byte order mark is tolerated
// (RFC 8259 §8.1).
func (r response) text() []byte {
	return bytes.TrimLeft(bytes.TrimPrefix(r.body, []byte("\ufeff")), " \t\r\n")
}

// object parses the body as a JSON object (RFC 6749 §5.1), whatever its
// Content-Type: many servers send a wrong one. Otherwise a form is read where the
// Content-Type says so. The object may be incomplete where there is a failure.
func (r response) object() (map[string]any, *failure) {
	text := r.text()
	mediaType, _, _ := mime.ParseMediaType(r.contentType)
	switch {
	case bytes.HasPrefix(text, []byte("{")):
	case mediaType == "application/x-www-form-urlencoded":
		return formObject(text)
	default:
		return nil, malformed(ReasonNotJSON)
	}
	value, err := strictjson.ParseTolerant(text)
	root, _ := value.(map[string]any)
	switch {
	case errors.Is(err, strictjson.ErrTruncated):
		return nil, failRetryable(Malformed, ReasonTruncated)
	case err != nil:
		return root, malformed(ReasonJSON)
	}
	return root, nil
}

// formObject reads a form-encoded body as an object of strings.
func formObject(text []byte) (map[string]any, *failure) {
	form, err := url.ParseQuery(string(text))
	if err != nil {
		return nil, malformed(ReasonNotJSON)
	}
	root := make(map[string]any, len(form))
	for name, values := range form {
		switch {
		case len(values) > 1:
			root[name] = strictjson.Unusable("is repeated")
		case !utf8.ValidString(values[0]):
			root[name] = strictjson.Unusable("is not UTF-8 text")
		default:
			root[name] = values[0]
		}
	}
	return root, nil
}

// refusal is the failure of an error response (RFC 6749 §5.2). A body that is
// not an object adds nothing to the status.
func (r response) refusal(shape provider.Shape) *failure {
	f := failureOfStatus(r.status)
	f.Detail = hints[r.status]
	if root, failure := r.object(); failure == nil {
		r.addDetails(f, root, shape)
	}
	return f
}

// addDetails adds the server's error code and description. A code that means
// "try again later" takes precedence over a status that means a refusal.
func (r response) addDetails(f *failure, root map[string]any, shape provider.Shape) {
	code := errorCode(member(root, shape.Error, "error"))
	description, _ := member(root, shape.ErrorDescription, "error_description").(string)
	f.Code = knownCode(code)
	f.Description = r.scrubber.scrub(description)
	switch {
	case isTransient(f.Code):
		f.Kind = Unavailable
	case f.Kind == Rejected && slices.Contains(shape.Ended, code):
		f.Code, f.GrantEnded = code, true // the operator declared this text
	case f.Kind == Rejected:
		f.GrantEnded = f.Code == "invalid_grant"
	}
}

// errorCode is an error code as text; a number is in decimal.
func errorCode(value any) string {
	code, _ := extra.Text(value)
	if number, ok := value.(json.Number); ok {
		if figure, _ := figureOf(number); math.Abs(figure) < 1<<53 && figure == math.Trunc(figure) {
			return strconv.FormatFloat(figure, 'f', 0, 64)
		}
	}
	return code
}

// summary identifies the body for the log. The media type is omitted unless it
// is short and contains no part of the request.
func (r response) summary() ResponseSummary {
	mediaType, _, err := mime.ParseMediaType(r.contentType)
	if err != nil || len(mediaType) > 64 || r.scrubber.scrub(mediaType) != mediaType {
		mediaType = ""
	}
	s := ResponseSummary{ContentType: mediaType, Length: len(r.body)}
	if r.body != nil {
		s.Digest = digest.Short(string(r.body))
	}
	return s
}

// complete adds what the response says to a failure.
func (r response) complete(f *failure) *failure {
	if f != nil {
		f.RetryAfter, f.Response = r.retryAfter, r.summary()
		f.conclusive = f.conclusive || isConclusive(r.status)
	}
	return f
}

// isConclusive reports whether a status shows that nothing was issued, whatever
// its body. Gateways send 502 and 504, and one widely used kind 520 to 527, on
// behalf of a server whose response they do not have.
func isConclusive(status int) bool {
	byGateway := status == http.StatusBadGateway || status == http.StatusGatewayTimeout || status >= 520 && status <= 527
	return status >= 300 && status <= 599 && !byGateway
}
