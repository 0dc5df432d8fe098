package console

import (
	"encoding/json"
	"net/http"
	"net/url"

	names "github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/scripts/internal/localhttp"
)

// order is what the page asks for. Which members an action uses is in actions.
type order struct {
	Connection string `json:"connection"`
	// Subject is empty or "default" for the default one.
	Subject          string `json:"subject"`
	TokenID          string `json:"token_id"`
	SessionID        string `json:"session_id"`
	ConfirmationCode string `json:"confirmation_code"`
	RedirectURL      string `json:"redirect_url"`
}

// action is a request to the service.
type action struct {
	method, path string
	// body returns the body; nil sends none.
	body func(order) any
	// shape returns where the answer is decoded; its members are passed on.
	shape func() any
}

var actions = map[string]action{
	"test":       {method: http.MethodGet, path: "/token", shape: func() any { return new(token) }},
	"forget":     {method: http.MethodDelete, path: "/token", shape: func() any { return new(struct{}) }},
	"disconnect": {method: http.MethodDelete, path: "/authorization", shape: func() any { return new(struct{}) }},
	"start":      {method: http.MethodPost, path: "/authorization", shape: func() any { return new(started) }},
	"reject": {method: http.MethodPost, path: "/token", shape: func() any { return new(token) },
		body: func(o order) any { return map[string]string{"rejected_token_id": o.TokenID} }},
	"complete": {method: http.MethodPost, path: "/authorization/complete", shape: func() any { return new(connection) },
		body: completion},
}

// completion has the members that the user filled in.
func completion(o order) any {
	body := map[string]string{}
	for name, value := range map[string]string{
		"session_id": o.SessionID, "confirmation_code": o.ConfirmationCode, "redirect_url": o.RedirectURL,
	} {
		if value != "" {
			body[name] = value
		}
	}
	return body
}

// act returns the handler of an action.
func (s *server) act(name string) http.HandlerFunc {
	a := actions[name]
	return func(w http.ResponseWriter, r *http.Request) {
		var o order
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&o); err != nil {
			badOrder(w, "the body is not what the page sends")
			return
		}
		path, err := o.path()
		if err != nil {
			badOrder(w, err.Error())
			return
		}
		var body any
		if a.body != nil {
			body = a.body(o)
		}
		s.pass(w, r, a.method, path+a.path, body, a.shape())
	}
}

// maxOrder bounds an order, in bytes. A redirect URL may have 8 KiB.
const maxOrder = 32 << 10

func badOrder(w http.ResponseWriter, detail string) {
	(&localhttp.Problem{Status: http.StatusBadRequest, Code: problem.InvalidRequest, Detail: detail}).Write(w)
}

// path is the path of the connection, or of one of its subjects. Names are parsed,
// so that they cannot change the path.
func (o order) path() (string, error) {
	name, err := names.ParseName(o.Connection)
	if err != nil {
		return "", err
	}
	if o.Subject == "" || o.Subject == string(names.DefaultSubject) {
		return "/connections/" + string(name), nil
	}
	subject, err := names.ParseSubject(o.Subject)
	if err != nil {
		return "", err
	}
	return "/connections/" + string(name) + "/subjects/" + string(subject), nil
}

// pageQuery passes on the cursor of a list.
func pageQuery(r *http.Request) string {
	if next := r.URL.Query().Get("next"); next != "" {
		return "?limit=100&next=" + url.QueryEscape(next)
	}
	return "?limit=100"
}
