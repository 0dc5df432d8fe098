package issue

import (
	"cmp"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

const (
	// orphanBudget bounds the revocation of a refresh token that is not stored, and
	// answerBudget is kept for answering the caller after it.
	orphanBudget, answerBudget = 3 * time.Second, 2 * time.Second
)

// Budget bounds all calls to the provider in one refresh.
func Budget(conn connection.Connection) time.Duration {
	return cmp.Or(conn.TokenTimeout, oauth.TotalTimeout)
}

// RefreshBudget is the time that asking the provider and storing its answer may take
// together.
func RefreshBudget(conn connection.Connection) time.Duration {
	return Budget(conn) + rules.SaveBudget
}

// RequireTime refuses a step that cannot be taken back when less than budget is
// left of the invocation: it might end before the result is stored.
func RequireTime(left, budget time.Duration) error {
	if left < budget {
		return rules.InProgress("too little of the invocation's time is left to ask the provider and store its answer")
	}
	return nil
}
