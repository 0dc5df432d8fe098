package consent

import (
	"errors"
	"time"

	"github.com/tokenvend/tokenvend/pkg/problem"
)

// startAgain ends the detail of an error after which the session is over.
const startAgain = "; start a new consent"

func sessionExpired(text string) error { return problem.New(problem.SessionExpired, text+startAgain) }

func invalidRequest(text string) error { return problem.New(problem.InvalidRequest, text) }

func accessDenied(text string) error { return problem.New(problem.AccessDenied, text) }

// unavailable is the error of a store that may work again soon.
func unavailable(detail string, err error) error {
	return &problem.Error{Code: problem.StoreUnavailable, Cause: err, RetryAfter: time.Second, Detail: detail}
}

// keysetUnavailable is the error of a sealer whose keyset cannot be read now. The
// session is intact.
func keysetUnavailable(err error) error {
	return unavailable("the keyset that encrypts consent sessions is unavailable", err)
}

func internal(err error) error { return problem.Of(err) }

var errOtherBrowser = errors.New("the browser does not have the session's cookie")

// IsOtherBrowser reports whether an error of FrontChannel.Receive means that the
// request comes from another browser than the one that continued from the consent
// page.
func IsOtherBrowser(err error) bool { return errors.Is(err, errOtherBrowser) }

func otherBrowser() error {
	return &problem.Error{Code: problem.InvalidRequest, Cause: errOtherBrowser,
		Detail: "this is not the browser that continued from the consent page, or it does not accept cookies, or it has continued from another consent page since; " +
			"open the consent page in this browser and continue from there"}
}

var errManualState = errors.New("the state is the one of authorization_url")

// IsManualState reports whether an error of FrontChannel.Receive means that the
// browser came from authorization_url, so that the consent has to be completed
// manually with the address.
func IsManualState(err error) bool { return errors.Is(err, errManualState) }

func manualStateOnly() error {
	return &problem.Error{Code: problem.InvalidRequest, Cause: errManualState,
		Detail: "this browser did not come from the consent page but from a copied authorization_url; " +
			"complete the consent with the complete address of this page"}
}

// codeSpent adds to an error that the code was sent and the session is over.
// Retrying the same request cannot succeed.
func codeSpent(err error) error {
	p := *problem.Of(err)
	if p.Code != problem.AuthorizationRequired { // its detail says so already
		p.Detail += "; the code has been used" + startAgain
	}
	p.Final, p.RetryAfter = true, 0
	return &p
}
