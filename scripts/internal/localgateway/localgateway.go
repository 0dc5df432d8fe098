// Package localgateway stands in for API Gateway on one machine: it checks the
// signature of a request, builds the event that a REST API sends to a Lambda function
// (payload format 1.0), and writes the function's response back.
//
// Functions cannot distinguish it from API Gateway, and its errors have API Gateway's
// wording, with one difference: a path without a resource answers 404, or 400 when it
// is malformed, where API Gateway answers 403. It does not evaluate IAM policies:
// every known caller may call every route, and anyone may call the public pages with
// the methods that they have.
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

// Function handles events. Handlers of aws-lambda-go implement it, and so do built
// bootstraps that run under a host of the Lambda Runtime API.
type Function interface {
	// Invoke returns the response to one event. It is called concurrently.
	Invoke(ctx context.Context, event []byte) ([]byte, error)
}

// Caller is an IAM user, as in an event's identity.
type Caller struct {
	// AccountID has 12 digits.
	AccountID string
	// UniqueID is the id that IAM never reuses, for example AIDA….
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
	// Functions are the integrations by the names of their folders.
	Functions map[string]Function
	// Stage is the first segment of every path.
	Stage string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Rand is the source of request ids; nil means crypto/rand.
	Rand io.Reader
	// Failed is called for every invocation without a valid response, because the
	// caller gets no reason; nil ignores them.
	Failed func(requestID, function string, err error)
}

// API is an http.Handler.
type API struct {
	Config
	routes []route
}

// New returns an API. It fails when a route's function is missing.
func New(c Config) (*API, error) {
	routes := newRoutes()
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
	return &API{c, routes}, nil
}

// ServeHTTP answers one request. Except on the public pages, the signature is checked
// first, so that only known callers learn which routes exist.
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

// verify checks the signature and takes what it covers.
func (a *API) verify(x *exchange) error {
	verified, err := a.Verifier.Verify(x.r)
	if err != nil {
		return err
	}
	x.body, x.query, x.keyID, x.caller = verified.Body, verified.Query, verified.KeyID, a.Callers[verified.KeyID]
	return nil
}

// integrate invokes the function. As in the cloud, a caller that disconnects does not
// stop it, so a started refresh is completed.
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

// invoke recovers from a panic, as Lambda does. The value of the panic is not logged:
// it may hold a secret.
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
