package oauth

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/digest"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/strictjson"
)

// maxBody is the largest answer read, in bytes after decoding.
const maxBody = 1 << 20

// answer is an HTTP answer whose body, if its status makes it worth reading,
// is whole.
type answer struct {
	status      int
	contentType string
	retryAfter  time.Duration
	body        []byte
	sent        sent
}

// readAnswer reads what the status makes worth reading. A server that is
// unavailable stays so whatever is wrong with its body.
func readAnswer(ctx context.Context, resp *http.Response, sent sent, now time.Time) (answer, *failure) {
	a := answer{
		status:      resp.StatusCode,
		contentType: resp.Header.Get("Content-Type"),
		retryAfter:  retryAfter(resp.Header.Get("Retry-After"), now),
		sent:        sent,
	}
	lines := 0
	for _, values := range resp.Header {
		lines += len(values)
	}
	if lines > maxHeaderLines {
		return a, malformed(ReasonHeaders)
	}
	verdict := judge(a.status)
	if verdict != nil && verdict.Kind == Malformed {
		return a, verdict
	}
	body, failure := readBody(ctx, resp)
	if failure != nil && verdict != nil && verdict.Kind == Unavailable {
		body, failure = nil, nil
	}
	a.body = body
	return a, failure
}

// judge tells what a status means by itself. It is nil for 200, the only one
// that brings a token (RFC 6749 §5.1).
func judge(status int) *failure {
	switch {
	case status == http.StatusOK:
		return nil
	case status >= 300 && status <= 399:
		return malformed(ReasonRedirect)
	case status == http.StatusTooManyRequests:
		return fail(Unavailable, ReasonStatus)
	case status >= 400 && status <= 499:
		return fail(Rejected, ReasonStatus)
	case status == 500, status == 502, status == 503, status == 504:
		return failAgain(Unavailable, ReasonStatus)
	case status >= 500 && status <= 599:
		return fail(Unavailable, ReasonStatus)
	}
	return malformed(ReasonStatus)
}

// readBody reads and decodes a body. net/http would decode gzip by itself, but
// only where it asked, and without a limit on what comes out.
func readBody(ctx context.Context, resp *http.Response) ([]byte, *failure) {
	zipped, known := isZipped(resp.Header.Values("Content-Encoding"))
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
	case zipped:
		return unzip(body)
	}
	return body, nil
}

// isZipped reads Content-Encoding (RFC 9110 §8.4): nothing, or gzip once.
func isZipped(values []string) (zipped, known bool) {
	for _, coding := range strings.Split(strings.Join(values, ","), ",") {
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "", "identity":
		case "gzip", "x-gzip":
			if zipped {
				return false, false
			}
			zipped = true
		default:
			return false, false
		}
	}
	return zipped, true
}

func unzip(body []byte) ([]byte, *failure) {
	reader, err := gzip.NewReader(bytes.NewReader(body))
	if err == nil {
		body, err = io.ReadAll(io.LimitReader(reader, maxBody+1))
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return nil, failAgain(Malformed, ReasonTruncated)
	case err != nil:
		return nil, malformed(ReasonEncoding)
	case len(body) > maxBody:
		return nil, malformed(ReasonTooLarge)
	}
	return body, nil
}

// text is the body from its first character on. One byte order mark is forgiven
// (RFC 8259 §8.1).
func (a answer) text() []byte {
	return bytes.TrimLeft(bytes.TrimPrefix(a.body, []byte("\ufeff")), " \t\r\n")
}

// object parses the body as JSON whatever its Content-Type, which servers get
// wrong, as long as it is an object (RFC 6749 §5.1).
func (a answer) object() (map[string]any, *failure) {
	text := a.text()
	if !bytes.HasPrefix(text, []byte("{")) {
		return nil, malformed(ReasonNotJSON)
	}
	value, err := strictjson.Parse(text)
	switch {
	case errors.Is(err, strictjson.ErrTruncated):
		return nil, failAgain(Malformed, ReasonTruncated)
	case err != nil:
		return nil, malformed(ReasonJSON)
	}
	return value.(map[string]any), nil
}

// refusal completes what the status says by what the body says, if it says
// anything (RFC 6749 §5.2).
func (a answer) refusal(shape provider.Shape) *failure {
	f := judge(a.status)
	if root, failure := a.object(); failure == nil {
		a.explain(f, root, shape)
	}
	return f
}

// explain adds the server's code and description, and lets a code that means
// "not now" win over a status that means "no".
func (a answer) explain(f *failure, root map[string]any, shape provider.Shape) {
	code, _ := member(root, shape.Error, "error").(string)
	description, _ := member(root, shape.ErrorDescription, "error_description").(string)
	f.Code = knownCode(code)
	f.Description = a.sent.clean(description)
	if isTransient(f.Code) {
		f.Kind = Unavailable
	}
}

// summary identifies the body for the log. A media type is a few plain words,
// and is left out when it is anything else.
func (a answer) summary() Answer {
	mediaType, _, err := mime.ParseMediaType(a.contentType)
	if err != nil || len(mediaType) > 64 || a.sent.clean(mediaType) != mediaType {
		mediaType = ""
	}
	s := Answer{ContentType: mediaType, Length: len(a.body)}
	if a.body != nil {
		s.Digest = digest.Short(string(a.body))
	}
	return s
}

// about completes a failure by what the answer tells besides.
func (a answer) about(f *failure) *failure {
	if f != nil {
		f.RetryAfter, f.Answer = a.retryAfter, a.summary()
		f.conclusive = f.conclusive || concludes(a.status)
	}
	return f
}

// concludes reports whether a status tells that nothing was issued, whatever
// becomes of its body. Gateways answer 502 and 504, and one large kind of them
// 520 to 527, for a server whose own answer they do not have.
func concludes(status int) bool {
	byGateway := status == http.StatusBadGateway || status == http.StatusGatewayTimeout || status >= 520 && status <= 527
	return status >= 300 && status <= 599 && !byGateway
}
