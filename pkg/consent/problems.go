package consent

import (
	"time"

	"github.com/tokenvend/tokenvend/pkg/problem"
)

// again is what helps after a session that is over.
const again = "; the consent has to be started again"

func gone(text string) error { return problem.New(problem.SessionExpired, text+again) }

func invalid(text string) error { return problem.New(problem.InvalidRequest, text) }

func denied(text string) error { return problem.New(problem.AccessDenied, text) }

// unavailable is for what does not answer now.
func unavailable(what string, err error) error {
	return &problem.Error{Code: problem.StoreUnavailable, Cause: err, RetryAfter: time.Second, Detail: what}
}

func noKeyset(err error) error {
	return unavailable("the keyset that seals consent sessions cannot be had", err)
}

func internal(err error) error { return problem.Of(err) }
