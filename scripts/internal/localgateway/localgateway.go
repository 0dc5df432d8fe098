// Package localgateway plays API Gateway on a laptop: it checks who signed a
// request, turns it into the event that a REST API sends to a Lambda function
// (payload format 1.0), and writes the function's answer back.
//
// It is as faithful as a function can notice, and its errors are worded as API
// Gateway words its own, with one difference: a path that matches no resource
// answers 404, or 400 when its form is wrong, where API Gateway says 403 to
// everybody. Who is allowed what is IAM's, and is not played: here every known
// caller may call every route, and everybody the public pages.
package localgateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/sigv4"
)

// integrationTimeout is what API Gateway gives a function to answer.
const integrationTimeout = 29 * time.Second

// Function answers events. The handlers of aws-lambda-go are Functions, and so
// are built bootstraps under a host of the Lambda Runtime API.
type Function interface {
	// Invoke returns the answer to one event. It is called concurrently.
	Invoke(ctx context.Context, event []byte) ([]byte, error)
}

// Caller is an IAM user as an event's identity shows one.
type Caller struct {
	// AccountID has 12 digits.
	AccountID string
	// UniqueID is the id that IAM never gives out again, for example AIDA….
	UniqueID string
	// ARN is the user's ARN.
	ARN string
}

// Config is what an API needs. Every field is required unless it says otherwise.
type Config struct {
	// Verifier checks signatures.
	Verifier *sigv4.Verifier
	// Callers are the users by access key id, one for each key of the Verifier.
	Callers map[string]Caller
	// Functions are the integrations by their folder's name.
	Functions map[string]Function
	// Stage is the first segment of every path.
	Stage string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Rand is where request ids come from; nil means crypto/rand.
	Rand io.Reader
	// Failed is told of every invocation that gave no answer, since the caller
	// is told nothing; nil drops it.
	Failed func(requestID, function string, err error)
}

// API is an http.Handler.
type API struct{ Config }

// New returns an API. It fails when a route's function is missing.
func New(c Config) (*API, error) {
	for _, route := range routes {
		if c.Functions[route.function] == nil {
			return nil, fmt.Errorf("no function %q for resource %s", route.function, route.resource)
		}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Failed == nil {
		c.Failed = func(string, string, error) {}
	}
	return &API{c}, nil
}

// ServeHTTP answers one request. But for the public pages, whoever is not a
// known caller learns nothing of the routes: the signature is checked first.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ids := a.newIDs()
	setHeaders(w.Header(), ids)
	path, mistake := a.locate(r)
	x, err := exchange{r: r, path: path, ids: ids}, error(nil)
	if path.route.public {
		err = x.open()
	} else {
		err = a.verify(&x)
	}
	if refusal := (*sigv4.Refusal)(nil); errors.As(err, &refusal) {
		writeGatewayError(w, refusal.Status, refusal.Type, refusal.Message, ids.request)
		return
	}
	if mistake != nil {
		mistake.write(w, ids.request)
		return
	}
	a.integrate(w, x)
}

// verify takes over what a valid signature vouches for.
func (a *API) verify(x *exchange) error {
	verified, err := a.Verifier.Verify(x.r)
	if err != nil {
		return err
	}
	x.body, x.query, x.keyID, x.caller = verified.Body, verified.Query, verified.KeyID, a.Callers[verified.KeyID]
	return nil
}

// integrate asks the function. A caller that hangs up does not stop it, as it
// does not in the cloud: a refresh that has begun is finished.
func (a *API) integrate(w http.ResponseWriter, x exchange) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.r.Context()), integrationTimeout)
	defer cancel()
	answer, err := invoke(ctx, a.Functions[x.path.route.function], a.event(x))
	if err == nil {
		err = writeAnswer(w, answer)
	}
	if err != nil {
		a.fail(w, x, err)
	}
}

// invoke contains a panic, as Lambda does. What was panicked with stays untold:
// it may hold anything.
func invoke(ctx context.Context, f Function, event []byte) (answer []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("function panicked with a %T\n%s", v, debug.Stack())
		}
	}()
	return f.Invoke(ctx, event)
}

func (a *API) fail(w http.ResponseWriter, x exchange, err error) {
	a.Failed(x.ids.request, x.path.route.function, err)
	if errors.Is(err, context.DeadlineExceeded) {
		writeGatewayError(w, http.StatusGatewayTimeout, "InternalServerErrorException", "Endpoint request timed out", x.ids.request)
		return
	}
	writeGatewayError(w, http.StatusBadGateway, "InternalServerErrorException", "Internal server error", x.ids.request)
}
