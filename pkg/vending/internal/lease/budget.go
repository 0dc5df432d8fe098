package lease

import (
	"time"

	"github.com/tokenvend/tokenvend/pkg/vending/internal/issue"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
)

const (
	// TTL is how long a lease lasts. A holder that died blocks others for as
	// long.
	TTL = 19 * time.Second
	// clockSkew is the difference of two clocks that a lease tolerates.
	clockSkew = 2 * time.Second
	// refreshBudget is the time that asking the provider and storing its answer
	// may take together.
	refreshBudget = issue.Budget + record.SaveBudget
	// waitBudget bounds waiting for another holder.
	waitBudget = 8 * time.Second
	// answerBudget is kept for answering the caller after waiting.
	answerBudget = 2 * time.Second
	// attempts bounds starting over when others changed the item, or refreshed it
	// to a token that this caller cannot use.
	attempts = 2
)

// A lease outlasts the refresh that it protects. The constant overflows, and the
// package does not compile, where the budgets no longer fit.
const _ = uint(TTL - refreshBudget - clockSkew)
