package lease

import (
	"fmt"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/issue"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

const (
	// TTL is how long a lease lasts, unless the connection declares a token_timeout. A
	// crashed holder blocks others for as long.
	TTL = oauth.TotalTimeout + margin
	// margin is what a lease lasts beyond the time for the provider.
	margin = 9 * time.Second
	// clockSkew is the difference of two clocks that a lease tolerates.
	clockSkew = 2 * time.Second
	// consumeBudget is the time to end a consent session before its code is sent.
	consumeBudget = time.Second
	// waitBudget bounds waiting for another holder.
	waitBudget = 8 * time.Second
	// retryWait is the age of a lease until which its result is waited for where the
	// attempt before it failed. A provider that hangs then holds one invocation, and
	// not all that ask.
	retryWait = 2 * time.Second
	// answerBudget is kept for answering the caller after waiting.
	answerBudget = 2 * time.Second
	// attempts bounds starting over when others changed the item, or refreshed it
	// to a token that this caller cannot use.
	attempts = 2
)

// A lease outlasts the refresh that it protects. The constant overflows, and the
// package does not compile, where the budgets no longer fit.
const _ = uint(margin - rules.SaveBudget - clockSkew)

// TTLOf is how long the lease of a connection's refresh lasts.
func TTLOf(conn connection.Connection) time.Duration { return issue.Budget(conn) + margin }

// errLeaseTooOld asks for another attempt: another process may hold the lease
// before the provider's answer is stored.
var errLeaseTooOld = fmt.Errorf("the lease is too old to ask the provider: %w", tokenstore.ErrSuperseded)

// requireTime is called immediately before each step that cannot be taken back:
// since the lease was acquired, item, declaration and keyset had to be read. The
// time left is that of the invocation, not of the context that bounds those reads.
func (h *Holder) requireTime(budget time.Duration) error {
	if err := issue.RequireTime(h.remaining(), budget); err != nil {
		return err
	}
	if h.rec.Item.Lease.Until.Sub(h.leases.clock.Now()) < budget {
		return errLeaseTooOld
	}
	return nil
}
