package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/client/tokenvend"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/strictjson"
	"github.com/tokenvend/tokenvend/scripts/internal/localhttp"
)

// maxBody bounds the body of a request for a token, in bytes, as the service does.
const maxBody = 10 << 10

// want is a request for a token.
type want struct {
	connection string
	options    []tokenvend.Option
	rejected   string // the id of a token that a resource server refused; empty for none
}

// serveToken answers /connections/NAME/token and /connections/NAME/subjects/SUBJECT/token.
func (a *Agent) serveToken(w http.ResponseWriter, r *http.Request, rest string) {
	asked, refused := a.read(w, r, rest)
	if refused != nil {
		refused.Write(w)
		return
	}
	token, err := a.get(r.Context(), asked)
	if err != nil {
		tokenProblem(asked.connection, err).Write(w)
		return
	}
	answer, err := token.Answer(a.Now())
	if err != nil {
		tokenProblem(asked.connection, err).Write(w)
		return
	}
	localhttp.WriteJSON(w, "application/json", http.StatusOK, answer)
}

// get returns the cached token, or another one if the cached one is the rejected one.
func (a *Agent) get(ctx context.Context, asked want) (*tokenvend.Token, error) {
	token, err := a.Client.Token(ctx, asked.connection, asked.options...)
	if err != nil || asked.rejected == "" || token.ID != asked.rejected {
		return token, err
	}
	return a.Client.Reject(ctx, token, asked.options...)
}

func (a *Agent) read(w http.ResponseWriter, r *http.Request, rest string) (want, *localhttp.Problem) {
	parts := strings.Split(rest, "/")
	isSubject := len(parts) == 4 && parts[1] == "subjects"
	if parts[len(parts)-1] != "token" || len(parts) != 2 && !isSubject {
		return want{}, notFound("the agent has …/token only; the service has the other paths")
	}
	asked := want{connection: parts[0]}
	if refused := a.admit(asked.connection); refused != nil {
		return want{}, refused
	}
	if isSubject {
		option, refused := subject(parts[2])
		if refused != nil {
			return want{}, refused
		}
		asked.options = append(asked.options, option)
	}
	switch r.Method {
	case http.MethodGet:
		return asked, asked.readQuery(r)
	case http.MethodPost:
		return asked, asked.readBody(w, r)
	}
	w.Header().Set("Allow", "GET, POST")
	return want{}, &localhttp.Problem{Status: http.StatusMethodNotAllowed, Code: problem.MethodNotAllowed, Detail: "this resource allows GET, POST"}
}

func (asked *want) readQuery(r *http.Request) *localhttp.Problem {
	for name, values := range r.URL.Query() {
		switch {
		case !slices.Contains([]string{"min_ttl", "scope"}, name):
			return invalid("unknown query parameter; this request takes the parameters min_ttl, scope")
		case len(values) != 1 || values[0] == "":
			return invalid("query parameter " + name + " must be given once, with a value")
		}
		if err := asked.set(name, values[0]); err != nil {
			return invalid(err.Error())
		}
	}
	return nil
}

func (asked *want) readBody(w http.ResponseWriter, r *http.Request) *localhttp.Problem {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return invalid("the body is incomplete or has more than " + strconv.Itoa(maxBody) + " bytes")
	}
	if len(text) == 0 {
		return nil
	}
	parsed, err := strictjson.Parse(text)
	if err != nil {
		return invalid("the body is not valid JSON: " + err.Error())
	}
	members, isObject := parsed.(map[string]any)
	if !isObject {
		return invalid("the body must be a JSON object")
	}
	for name, value := range members {
		_, isText := value.(string)
		_, isNumber := value.(json.Number)
		if name == "min_ttl" && !isNumber || name != "min_ttl" && !isText {
			return invalid("a body member has the wrong type; min_ttl must be a number, scope and rejected_token_id must be strings")
		}
		if err := asked.set(name, fmt.Sprint(value)); err != nil {
			return invalid(err.Error())
		}
	}
	return nil
}

// maxDigits bounds a number of seconds, to about three years.
const maxDigits = 8

// set sets what a parameter or a member says. The service judges scopes and ids.
func (asked *want) set(name, value string) error {
	switch name {
	case "min_ttl":
		seconds, err := strconv.ParseUint(value, 10, 32)
		if err != nil || len(value) > maxDigits {
			return fmt.Errorf("min_ttl must be a whole number of seconds, at most half of the token's lifetime")
		}
		asked.options = append(asked.options, tokenvend.WithMinTTL(time.Duration(seconds)*time.Second))
	case "scope":
		asked.options = append(asked.options, tokenvend.WithScope(value))
	case "rejected_token_id":
		asked.rejected = value
	default:
		return fmt.Errorf("unknown body member; this request takes the members min_ttl, scope, rejected_token_id")
	}
	return nil
}
