package awsdynamodb_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/awsdynamodb"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/storetest"
)

var crm = tokenstore.Key{Connection: "crm"}

func acquire(owner string) tokenstore.Acquire {
	return tokenstore.Acquire{Key: crm, Owner: owner, Now: now, TTL: 19 * time.Second}
}

func commit(owner string, version int64) tokenstore.Commit {
	return tokenstore.Commit{
		Key: crm, Owner: owner, Version: version, Now: now,
		Token: tokenstore.SealedToken{ID: "token_1", Sealed: []byte("sealed"), MintedAt: now, ExpiresAt: now.Add(time.Hour)},
	}
}

func TestDecode(t *testing.T) {
	at := func(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
	store, _ := scripted(t, found(t, "Item", under(crm, valid())))
	got, err := store.Get(t.Context(), crm, false)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	want := tokenstore.Item{
		Key: crm, Version: 7, SecretIncarnation: "g1",
		Token: tokenstore.SealedToken{
			ID: "9f86d081884c7d65", Sealed: []byte("sealed"), MintedAt: at(1767323045678), ExpiresAt: at(1767326645678),
			MintID: "m1", ConfigHash: "d1", SecretVersion: "s1", Departures: []string{"scope"}, ExtraNames: []string{"instance_url"},
		},
		Lease: tokenstore.Lease{Seq: 3},
		Failure: tokenstore.Failure{
			Count: 2, Code: "provider_unavailable", Status: 503, ProviderCode: "server_error", Detail: "f1",
			FailedAt: at(1767323045000), NextAttemptAt: at(1767323047000), Cause: "c1",
		},
		RejectedID: "9f86d081884c7d65", ForcedRefreshes: []tokenstore.ForcedRefresh{{At: at(1767323040000)}, {At: at(1767323041000), By: "p1"}},
		Used: true, RenewSlot: "45m/07/3", Variants: []string{"v1", "v2"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("item (-want +got):\n%s", d)
	}
}

func TestDecodeCorrupt(t *testing.T) {
	for _, tc := range corruptions {
		t.Run(tc.name, func(t *testing.T) {
			store, _ := scripted(t, found(t, "Item", under(crm, tc.item)))
			item, err := store.Get(t.Context(), crm, false)
			if !errors.Is(err, tokenstore.ErrCorrupt) {
				t.Fatalf("Get: %v, want ErrCorrupt", err)
			}
			if want := "item corrupt: unusable " + tc.bad; err.Error() != want {
				t.Errorf("error %q, want %q", err, want)
			}
			if d := cmp.Diff(tokenstore.Item{Key: crm}, item); d != "" {
				t.Errorf("item (-want +got):\n%s", d)
			}
		})
	}
}

func TestRequests(t *testing.T) {
	free := with(attributes{"lease_owner": nil})
	mine := with(attributes{"lease_owner": str("me"), "lease_until": num("1767323055678")})
	theirs := with(attributes{"lease_owner": str("they"), "lease_until": num("1767323055678")})
	applied := with(attributes{"version": num("8"), "token_id": str("token_1")})
	get := func(consistent bool) func(context.Context, *awsdynamodb.Table) error {
		return func(ctx context.Context, s *awsdynamodb.Table) error {
			_, err := s.Get(ctx, crm, consistent)
			return err
		}
	}
	take := func(ctx context.Context, s *awsdynamodb.Table) error {
		_, err := s.Acquire(ctx, acquire("me"))
		return err
	}
	save := func(ctx context.Context, s *awsdynamodb.Table) error {
		_, err := s.Commit(ctx, commit("me", 7))
		return err
	}
	fail := func(ctx context.Context, s *awsdynamodb.Table) error {
		return s.Fail(ctx, tokenstore.Fail{Key: crm, Owner: "me", Now: now})
	}
	release := func(ctx context.Context, s *awsdynamodb.Table) error {
		return s.Release(ctx, tokenstore.Release{Key: crm, Owner: "me"})
	}
	drop := func(ctx context.Context, s *awsdynamodb.Table) error {
		_, err := s.Drop(ctx, tokenstore.Drop{Key: crm, Now: now})
		return err
	}
	reject := func(ctx context.Context, s *awsdynamodb.Table) error {
		_, err := s.Reject(ctx, tokenstore.Reject{Key: crm, Version: 7, TokenID: "9f86d081884c7d65"})
		return err
	}
	used := func(ctx context.Context, s *awsdynamodb.Table) error { return s.MarkUsed(ctx, crm, 7) }
	variant := func(ctx context.Context, s *awsdynamodb.Table) error { return s.AddVariant(ctx, crm, "v1") }
	fine, refused, gone := found(t, "Attributes", mine), conditionFailed(t, theirs), conditionFailed(t, nil)
	for _, tc := range []struct {
		name    string
		call    func(context.Context, *awsdynamodb.Table) error
		answers []answer
		want    string
		err     error
	}{
		{"CR-29 a vend is one read", get(false), []answer{found(t, "Item", free)}, "GetItem", nil},
		{"CR-29 a consistent vend is one read", get(true), []answer{found(t, "Item", free)}, "GetItem", nil},
		{"CR-04 the lease is one write", take, []answer{fine}, "UpdateItem", nil},
		{"CR-04 a refused lease is one write if the engine returns the item", take, []answer{refused}, "UpdateItem", tokenstore.ErrHeld},
		{"CR-04 a refused lease is a write and a read if the engine does not", take, []answer{gone, found(t, "Item", theirs)}, "UpdateItem GetItem", tokenstore.ErrHeld},
		{"CR-36 a lease that the owner already has is acquired", take, []answer{conditionFailed(t, mine), fine}, "UpdateItem UpdateItem", nil},
		{"CR-04 a lease released in between is acquired in a second write", take, []answer{conditionFailed(t, free), fine}, "UpdateItem UpdateItem", nil},
		{"CR-04 a second write that another owner precedes", take, []answer{conditionFailed(t, free), refused}, "UpdateItem UpdateItem", tokenstore.ErrHeld},
		{"CR-04 an item that keeps changing ends as held", take, []answer{conditionFailed(t, free)}, "UpdateItem UpdateItem UpdateItem UpdateItem", tokenstore.ErrHeld},
		{"CR-07 a commit is one write", save, []answer{fine}, "UpdateItem", nil},
		{"CR-07 a commit after a lost lease is two", save, []answer{refused, fine}, "UpdateItem UpdateItem", nil},
		{"CR-07 a commit of a changed version is one", save, []answer{conditionFailed(t, with(attributes{"version": num("9")}))}, "UpdateItem", tokenstore.ErrSuperseded},
		{"CR-36 a commit that was applied", save, []answer{gone, found(t, "Item", applied)}, "UpdateItem GetItem", nil},
		{"CR-36 a second write that was applied", save, []answer{refused, conditionFailed(t, applied)}, "UpdateItem UpdateItem", nil},
		{"CR-07 a commit refused without a visible reason ends", save, []answer{refused}, "UpdateItem UpdateItem", tokenstore.ErrSuperseded},
		{"BI-72 a commit to a corrupt item is superseded", save, []answer{conditionFailed(t, attributes{"version": str("7")})}, "UpdateItem", tokenstore.ErrSuperseded},
		{"CR-18 a failure without a valid token is one write", fail, []answer{fine}, "UpdateItem", nil},
		{"CR-16 a failure with a valid token is two, the ttl is kept", fail, []answer{gone, fine}, "UpdateItem UpdateItem", nil},
		{"CR-18 a failure after a lost lease ends if the engine returns the item", fail, []answer{refused}, "UpdateItem UpdateItem", nil},
		{"CR-18 a failure after a lost lease reads nothing", fail, []answer{gone}, "UpdateItem UpdateItem UpdateItem", nil},
		{"CR-12 a failure with another attempt's mark is three, the mark is kept", fail, []answer{gone, conditionFailed(t, mine), fine}, "UpdateItem UpdateItem UpdateItem", nil},
		{"CR-04 a release is one write", release, []answer{fine}, "UpdateItem", nil},
		{"CR-04 a release of a lost lease ends if the engine returns the item", release, []answer{refused}, "UpdateItem", nil},
		{"CR-04 a release of a lost lease reads nothing", release, []answer{gone}, "UpdateItem UpdateItem", nil},
		{"CR-12 a release with another attempt's mark is two", release, []answer{conditionFailed(t, mine), fine}, "UpdateItem UpdateItem", nil},
		{"CR-23 a rejection is one write", reject, []answer{fine}, "UpdateItem", nil},
		{"CR-23 a rejection of a missing item", reject, []answer{gone, {200, "{}"}}, "UpdateItem GetItem", tokenstore.ErrSuperseded},
		{"BI-72 a rejection of a corrupt item", reject, []answer{conditionFailed(t, attributes{"version": str("7")})}, "UpdateItem", tokenstore.ErrSuperseded},
		{"CR-21 a drop is one write", drop, []answer{fine}, "UpdateItem", nil},
		{"BI-75 a drop of a corrupt version is two", drop, []answer{conditionFailed(t, attributes{"version": str("7")}), fine}, "UpdateItem UpdateItem", nil},
		{"CR-30 a mark is one write", used, []answer{fine}, "UpdateItem", nil},
		{"CR-30 a mark of a changed version reads nothing", used, []answer{gone}, "UpdateItem", nil},
		{"CR-37 a variant is one write", variant, []answer{fine}, "UpdateItem", nil},
		{"BI-72 a variant with corrupt variants", variant, []answer{gone}, "UpdateItem UpdateItem", tokenstore.ErrCorrupt},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store, script := scripted(t, tc.answers...)
			if err := tc.call(t.Context(), store); !errors.Is(err, tc.err) {
				t.Errorf("%v, want %v", err, tc.err)
			}
			if got := script.operations(); got != tc.want {
				t.Errorf("requests %s, want %s", got, tc.want)
			}
		})
	}
}

func TestReadConsistency(t *testing.T) {
	store, script := scripted(t, answer{200, "{}"})
	for _, consistent := range []bool{false, true} {
		if _, err := store.Get(t.Context(), crm, consistent); err != nil {
			t.Fatalf("Get: %v", err)
		}
	}
	for i, want := range []bool{false, true} {
		if got := script.requests[i].members["ConsistentRead"]; got != want {
			t.Errorf("CR-29 read %d: ConsistentRead %v, want %v", i, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	const canary = "arn:aws:dynamodb:us-east-1:111122223333:table/tokens"
	refusal := func(status int, code string) answer {
		return framed(t, status, map[string]any{"__type": "com.amazonaws.dynamodb.v20120810#" + code, "message": canary})
	}
	for _, tc := range []struct {
		name   string
		answer answer
		// tries is the number of requests of a client that retries.
		tries int
		says  string
	}{
		{"CR-31 throttled", refusal(400, "ProvisionedThroughputExceededException"), 3, "ProvisionedThroughputExceededException"},
		{"CR-31 throttled by the account", refusal(400, "ThrottlingException"), 3, "ThrottlingException"},
		{"CR-31 over the request limit", refusal(400, "RequestLimitExceeded"), 3, "RequestLimitExceeded"},
		{"CR-31 over the request rate", refusal(400, "TooManyRequestsException"), 3, "TooManyRequestsException"},
		{"FI-26 internal error", refusal(500, "InternalServerError"), 3, "InternalServerError"},
		{"FI-26 unavailable", answer{503, canary}, 3, ""},
		{"FI-26 no table", refusal(400, "ResourceNotFoundException"), 1, "ResourceNotFoundException"},
		{"FI-50 access denied", refusal(400, "AccessDeniedException"), 1, "AccessDeniedException"},
		{"FI-50 expired credentials", refusal(400, "ExpiredTokenException"), 1, "ExpiredTokenException"},
		{"INV-6 a code that is not a word", refusal(400, "Bad code "+canary), 1, "HTTP status 400"},
		{"INV-6 a response that is not JSON", answer{200, canary}, 1, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store, script := scripted(t, tc.answer)
			_, err := store.Get(t.Context(), crm, false)
			if !errors.Is(err, tokenstore.ErrUnavailable) {
				t.Fatalf("Get: %v, want ErrUnavailable", err)
			}
			if want := strings.HasPrefix(tc.name, "CR-31"); errors.Is(err, tokenstore.ErrThrottled) != want {
				t.Errorf("%v is ErrThrottled: %v, want %v", err, !want, want)
			}
			if !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "1111") {
				t.Errorf("error %q, want it to say %q and no ARN", err, tc.says)
			}
			if got := len(strings.Fields(script.operations())); got != tc.tries {
				t.Errorf("%d requests, want %d", got, tc.tries)
			}
			if _, err := store.Acquire(t.Context(), acquire("me")); !errors.Is(err, tokenstore.ErrUnavailable) {
				t.Errorf("Acquire: %v, want ErrUnavailable", err)
			}
		})
	}
}

func TestThrottled(t *testing.T) {
	for _, code := range []string{"ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"} {
		t.Run(code, func(t *testing.T) {
			table, _ := scripted(t, framed(t, 400, map[string]any{"__type": "com.amazonaws.dynamodb.v20120810#" + code}))
			storetest.RunThrottled(t, table)
		})
	}
}

// broken is a transport that fails every request.
type broken struct{ err error }

func (b broken) RoundTrip(*http.Request) (*http.Response, error) { return nil, b.err }

type timeoutError struct{}

func (timeoutError) Error() string { return "secret-host:443 did not answer" }
func (timeoutError) Timeout() bool { return true }

func TestTransportErrors(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		says string
	}{
		{"FI-26 timeout", timeoutError{}, "timeout"},
		{"FI-26 connection refused", errors.New("dial secret-host:443: connection refused"), "no usable response"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client := newClient("http://127.0.0.1:1", broken{tc.err})
			store := awsdynamodb.New(awsdynamodb.Config{Client: client, Table: "tokens"})
			_, err := store.Get(t.Context(), crm, false)
			if !errors.Is(err, tokenstore.ErrUnavailable) || !strings.HasSuffix(err.Error(), tc.says) || strings.Contains(err.Error(), "secret-host") {
				t.Errorf("Get: %v, want ErrUnavailable that says %q", err, tc.says)
			}
		})
	}
}

// hanging is a transport that never responds and cancels the caller's context.
type hanging struct{ giveUp func() }

func (h hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	h.giveUp()
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestContextEndsDuringRequest(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	client := newClient("http://127.0.0.1:1", hanging{cancel})
	store := awsdynamodb.New(awsdynamodb.Config{Client: client, Table: "tokens"})
	_, err := store.Acquire(ctx, acquire("me"))
	if !errors.Is(err, tokenstore.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("Acquire: %v, want ErrUnavailable because the context was canceled", err)
	}
}
