package rules

import (
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// startConsent ends the detail of an error after which a user has to consent.
const startConsent = "; start with POST …/authorization"

// RequireConsent refuses a connection whose user has to consent, or consent again.
// Its detail says what happened and when, as far as the item records it.
func RequireConsent(item tokenstore.Item, conn connection.Connection, now time.Time) error {
	name := nameOf(item.Key)
	switch {
	case item.Grant.Fingerprint == "":
		return problem.New(problem.AuthorizationRequired, whyNoGrant(item, name, now)+startConsent)
	case !declaration.GrantUsable(item.Grant, conn):
		return problem.New(problem.AuthorizationRequired, "the consent of "+instant(item.Grant.ConsentedAt)+" to "+name+
			" was given to another client: client_id or the host of token_url or refresh_url have changed since, or the secret was deleted and created again; "+
			"consent again, starting with POST …/authorization")
	case declaration.ReportsOf(item).Dead():
		return reportedDead(item, name, item.ForcedRefreshes[len(item.ForcedRefreshes)-1].At)
	case declaration.GrantEnded(item, conn, now):
		return Remembered(item.Failure, now)
	}
	return nil
}

func nameOf(key tokenstore.Key) string {
	name := "connection " + key.Connection
	if key.Subject != "" {
		name += " for subject " + key.Subject
	}
	return name
}

// RequireUnreported refuses a grant that is an access token to a principal for whom it
// has ended; see declaration.Reports.
func RequireUnreported(item tokenstore.Item, principal string) error {
	if at, ended := declaration.ReportsOf(item).EndedFor(principal); ended {
		return reportedDead(item, nameOf(item.Key), at)
	}
	return nil
}

func reportedDead(item tokenstore.Item, name string, at time.Time) error {
	served := ""
	if !declaration.ReportsOf(item).Dead() {
		served = " by you; others are still served"
	}
	return problem.New(problem.AuthorizationRequired, "the access token of "+name+" was reported dead at "+instant(at)+served+
		". It has no refresh token, so a user has to consent again"+startConsent+". If the report was wrong, clear it with POST …/token and clear_report")
}

// whyNoGrant says why an item has no grant. An item without any trace may have been
// disconnected so long ago that the table has deleted it.
func whyNoGrant(item tokenstore.Item, name string, now time.Time) string {
	switch t := item.Token; {
	case t.ID != "" && t.ID == item.RejectedID && len(item.ForcedRefreshes) > 0:
		return "the access token of " + name + " was rejected at " + instant(item.ForcedRefreshes[len(item.ForcedRefreshes)-1].At) +
			", and its consent returned no refresh token"
	case t.ID != "" && !t.ExpiresAt.After(now):
		return "the last consent to " + name + " returned no refresh token, and its access token ended at " + instant(t.ExpiresAt)
	case t.ID != "":
		return "the last consent to " + name + " returned no refresh token, so its access token cannot be replaced"
	case importRefused(item):
		return "there is no consent to " + name + ": the import of a refresh token was refused by the provider at " + instant(item.Failure.FailedAt)
	}
	return "there is no consent to " + name + ": no user has given one, or it was disconnected or forgotten"
}

// importCause is the cause of the failure that a refused import leaves.
const importCause = "import"

// ImportRefused is the failure that is recorded in an item without a grant when the
// provider refuses an import. It delays nothing: another import or
// consent replaces it.
func ImportRefused(code string, status int, at time.Time) tokenstore.Failure {
	return tokenstore.Failure{Count: 1, Code: string(problem.AuthorizationRequired), ProviderCode: code, Status: status,
		FailedAt: at, NextAttemptAt: at, Cause: importCause}
}

func importRefused(item tokenstore.Item) bool { return item.Failure.Cause == importCause }

func instant(at time.Time) string { return at.UTC().Format(time.RFC3339) }
