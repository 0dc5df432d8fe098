package sandbox

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxBody is the largest request body, in bytes.
const maxBody = 64 << 10

// tokenRequest is a request to a token endpoint, as far as it is valid.
type tokenRequest struct {
	form        url.Values
	credentials credentials
	// refusal is what is wrong with the form of the request; nil if it is valid.
	refusal *refusal
	// reuse: the refresh token was already superseded when the request arrived.
	reuse bool
}

// readTokenRequest reads the form and the credentials. It continues after an error
// if possible, so that the request is counted for its client.
func readTokenRequest(r *http.Request) tokenRequest {
	form, bad := readForm(r)
	from, badCredentials := readCredentials(r.Header, form)
	if bad == nil {
		bad = badCredentials
	}
	return tokenRequest{form: form, credentials: from, refusal: bad}
}

// readRequest reads a token request as the server documents it.
func (srv *server) readRequest(r *http.Request) tokenRequest {
	if srv.entry != nil {
		return srv.readEntryRequest(r)
	}
	return readTokenRequest(r)
}

// readForm follows RFC 6749 §3.2 and appendix B exactly: POST, a form in the body,
// no query, no repeated parameter. A parameter without a value counts as absent.
func readForm(r *http.Request) (url.Values, *refusal) {
	if r.Method != http.MethodPost {
		return nil, &refusal{code: invalidRequest, status: http.StatusMethodNotAllowed, description: "Use POST."}
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" || !isUTF8(params) || len(r.Header.Values("Content-Type")) > 1 {
		return nil, malformed("The content type must be application/x-www-form-urlencoded.")
	}
	text, err := readBody(r.Body)
	if err != nil {
		return nil, malformed("The body is truncated or too large.")
	}
	form, err := url.ParseQuery(string(text))
	if err != nil {
		return nil, malformed("The body is not a form.")
	}
	return checkForm(form, r.URL)
}

func checkForm(form url.Values, at *url.URL) (url.Values, *refusal) {
	if at.RawQuery != "" || at.ForceQuery {
		return form, malformed("Parameters belong in the body.")
	}
	for name, values := range form {
		if len(values) == 1 && values[0] == "" {
			delete(form, name)
			continue
		}
		if len(values) > 1 && name != "resource" { // RFC 8707 §2 allows repeating it
			return form, malformed("A parameter is repeated.")
		}
		for _, v := range append(values, name) {
			if !utf8.ValidString(v) {
				return form, malformed("A parameter is not UTF-8.")
			}
		}
	}
	return form, nil
}

func malformed(description string) *refusal {
	return &refusal{code: invalidRequest, description: description}
}

// isUTF8 accepts no media type parameter except a charset of UTF-8.
func isUTF8(params map[string]string) bool {
	for name, value := range params {
		if name != "charset" || !strings.EqualFold(value, "utf-8") {
			return false
		}
	}
	return true
}

func readBody(body io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(body, maxBody+1))
	if err == nil && len(text) > maxBody {
		err = errors.New("body over 64 KiB")
	}
	return text, err
}
