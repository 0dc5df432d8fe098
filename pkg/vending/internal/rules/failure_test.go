package rules_test

import (
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// failures returns the pauses after n failures in a row.
func failures(n int, f rules.FailedRefresh) (pauses []time.Duration) {
	f.At = now
	for range n {
		f.Item.Failure = f.Failure()
		pauses = append(pauses, f.Item.Failure.NextAttemptAt.Sub(now))
	}
	return pauses
}

func TestFailurePauses(t *testing.T) {
	unavailable := &oauth.Error{Kind: oauth.Unavailable}
	for _, c := range []struct {
		name        string
		failed      rules.FailedRefresh
		first, last time.Duration // of twelve
	}{
		{"CR-18 without jitter from 2 s to 30 s", rules.FailedRefresh{Err: unavailable, Jitter: 0.5}, 2 * time.Second, 30 * time.Second},
		{"CR-18 never under 2 s", rules.FailedRefresh{Err: unavailable, Jitter: 0}, 2 * time.Second, 30 * time.Second},
		{"CR-18 at most 25 % more", rules.FailedRefresh{Err: unavailable, Jitter: 0.999999999}, 2500 * time.Millisecond, 30 * time.Second},
		{"CR-18 up to 15 min while a token is served", rules.FailedRefresh{Err: unavailable, Jitter: 0.5, Served: true}, 2 * time.Second, 15 * time.Minute},
		{"FI-12 a longer Retry-After", rules.FailedRefresh{Err: &oauth.Error{RetryAfter: time.Minute}, Jitter: 0.5}, time.Minute, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			pauses := failures(12, c.failed)
			first, last := pauses[0].Round(time.Millisecond), pauses[11].Round(time.Millisecond)
			if first != c.first || last != c.last {
				t.Errorf("first pause %v, last %v, want %v and %v", first, last, c.first, c.last)
			}
		})
	}
}

func TestFailureOfAnotherCauseIsTheFirst(t *testing.T) {
	f := rules.FailedRefresh{Err: &oauth.Error{Kind: oauth.Timeout}, At: now, Jitter: 0.5}
	f.Item.Failure = f.Failure()
	if f.Conn.SecretVersion = "v2"; f.Failure().Count != 1 {
		t.Errorf("CR-19 count %d with another secret version, want 1", f.Failure().Count)
	}
	if f.Conn.SecretVersion = ""; f.Failure().Count != 2 {
		t.Errorf("CR-18 count %d with the same, want 2", f.Failure().Count)
	}
}

func TestRemembered(t *testing.T) {
	failure := tokenstore.Failure{Code: string(problem.ProviderRejected), Status: 400, ProviderCode: "invalid_scope", NextAttemptAt: now.Add(3 * time.Second)}
	p := rules.Remembered(failure, now)
	if p.Code != problem.ProviderRejected || p.RetryAfter != 3*time.Second || p.Provider.Status != 400 || p.Provider.Error != "invalid_scope" {
		t.Errorf("CR-18 got %+v", p)
	}
	failure.Code = string(problem.AuthorizationRequired)
	if p := rules.Remembered(failure, now); p.RetryAfter != 0 {
		t.Errorf("a grant that has ended: Retry-After %v, want none", p.RetryAfter)
	}
}

func TestRequireConsent(t *testing.T) {
	conn := connection.Connection{Name: "user", GrantType: connection.AuthorizationCode, ClientID: "app", SecretIncarnation: "1"}
	usable := tokenstore.SealedGrant{Fingerprint: "f", Client: declaration.ClientID(conn), SecretIncarnation: "1"}
	ended := tokenstore.Item{Grant: usable}
	ended.Failure = tokenstore.Failure{Count: 1, Code: string(problem.AuthorizationRequired), NextAttemptAt: rules.Never,
		Cause: declaration.FailureCause(ended, conn)}
	other, recreated := conn, conn
	other.ClientID, recreated.SecretIncarnation = "other", "2"
	for _, c := range []struct {
		name    string
		item    tokenstore.Item
		conn    connection.Connection
		refused bool
	}{
		{"a usable grant", tokenstore.Item{Grant: usable}, conn, false},
		{"no grant", tokenstore.Item{}, conn, true},
		{"a grant to another client", tokenstore.Item{Grant: usable}, other, true},
		{"CR-38 a grant under a deleted secret", tokenstore.Item{Grant: usable}, recreated, true},
		{"CR-28 a grant that has ended", ended, conn, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := rules.RequireConsent(c.item, c.conn, now)
			if refused := problem.Is(err, problem.AuthorizationRequired); refused != c.refused || !refused && err != nil {
				t.Errorf("got %v, want refused: %v", err, c.refused)
			}
		})
	}
}
