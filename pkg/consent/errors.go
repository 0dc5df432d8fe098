package consent

import (
	"errors"
	"time"

	"github.com/tokenvend/tokenvend/pkg/problem"
)

// again is what helps after a session that is over.
const again = "; the consent has to be started again"

// gone is a session that is over.
func gone(text string) error { return problem.New(problem.SessionExpired, text+again) }

func invalid(text string) error { return problem.New(problem.InvalidRequest, text) }

func denied(text string) error { return problem.New(problem.AccessDenied, text) }

// unavailable is for what does not answer now.
func unavailable(what string, err error) error {
	return &problem.Error{Code: problem.StoreUnavailable, Cause: err, RetryAfter: time.Second, Detail: what}
}

// noKeyset is no damage: a later try may succeed.
func noKeyset(err error) error {
	return unavailable("the keyset that seals consent sessions cannot be had", err)
}

// internal is what nobody outside can mend.
func internal(err error) error { return problem.Of(err) }

var errOtherBrowser = errors.New("the browser has not the session's cookie")

// IsOtherBrowser reports whether an error of Door.Receive says that it is not
// the browser that continued from the consent page.
func IsOtherBrowser(err error) bool { return errors.Is(err, errOtherBrowser) }

func otherBrowser() error {
	return &problem.Error{Code: problem.InvalidRequest, Cause: errOtherBrowser,
		Detail: "this is not the browser that continued from the consent page, or it keeps no cookies, or has continued on another such page since; " +
			"open the consent page in this browser and continue there"}
}

var errByHand = errors.New("the state is the one for consent by hand")

// IsManualState reports whether an error of Door.Receive says that the provider's
// page was opened by hand, so that the address is to be carried over.
func IsManualState(err error) bool { return errors.Is(err, errByHand) }

func byHandOnly() error {
	return &problem.Error{Code: problem.InvalidRequest, Cause: errByHand,
		Detail: "this browser did not come from the consent page, but from the provider's page that somebody opened by hand; " +
			"the consent is completed with the whole address of this page"}
}

// burnt says of a failure that the code was sent and the session is over, so
// that nobody tries the same again in vain.
func burnt(err error) error {
	p := *problem.Of(err)
	if p.Code != problem.AuthorizationRequired { // says so already
		p.Detail += "; the code has been used" + again
	}
	p.Final, p.RetryAfter = true, 0
	return &p
}
