package vending_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// scripted answers token requests as a test defines.
type scripted struct {
	*consentServer
	token func(oauth.Request) (oauth.Token, error)
}

func (s *scripted) Token(_ context.Context, r oauth.Request) (oauth.Token, error) { return s.token(r) }

// processWithServer returns a process with another server than the delegation's.
func (d *delegation) processWithServer(token func(oauth.Request) (oauth.Token, error)) *vending.Core {
	return vending.New(vending.Config{Store: d.store, Secrets: d.secrets, Minter: &scripted{d.idp, token}, Revoker: d.idp,
		Sealer: d.sealer, Now: d.now, Wait: d.wait})
}

// orphans are the refresh tokens that are valid at the provider, and neither stored
// nor revoked.
func (d *delegation) orphans() (left []string) {
	for token := range d.idp.validTokens {
		revoked := false
		for _, r := range d.idp.revoked {
			revoked = revoked || r == token
		}
		if !revoked {
			left = append(left, token)
		}
	}
	return left
}

// unusable is a response in which only the refresh token is usable.
func unusable(t oauth.Token) error {
	return &oauth.Error{Kind: oauth.Malformed, Reason: "expires_in", RefreshToken: t.RefreshToken, Trace: oauth.Trace{Calls: 1, Status: 200}}
}

const onlyOtherCaller = `,"callers":[{"principal":"arn:aws:iam::111122223333:role/else"}]}`

// forOtherCaller is the connection after its operator removed the test's caller.
func forOtherCaller() string {
	return fmt.Sprintf(userConnection[:len(userConnection)-1]+onlyOtherCaller, "hush")
}

var userChanged = vending.Changed{Secret: "user", Former: []string{"user"}}

func TestDeclarationChangesDuringConsent(t *testing.T) {
	for name, change := range map[string]func(*delegation){
		"edited":  func(d *delegation) { d.declare("user", forOtherCaller()) },
		"deleted": func(d *delegation) { delete(d.secrets.versions, "user") },
	} {
		t.Run("INV-1 while the code is exchanged, "+name, func(t *testing.T) {
			d := newDelegation(t, rotates)
			d.idp.during = func(oauth.Request) {
				d.idp.during = nil
				change(d)
				if _, err := d.process().Reconcile(t.Context(), userChanged); err != nil {
					t.Error(err)
				}
			}
			err := d.tryConsent(d.process(), user(), nil)
			d.clock.advance(10 * time.Minute)
			if v, vendErr := d.process().Vend(t.Context(), user()); vendErr == nil {
				t.Errorf("served %s; the consent: %v", v.AccessToken.Reveal(), err)
			}
		})
		t.Run("INV-1 before the lease, "+name, func(t *testing.T) {
			d := newDelegation(t, rotates)
			core := d.process()
			conn, err := core.Delegated(t.Context(), user())
			if err != nil {
				t.Fatal(err)
			}
			change(d)
			if _, err := d.process().Reconcile(t.Context(), userChanged); err != nil {
				t.Fatal(err)
			}
			err = core.Authorize(t.Context(), vending.Authorization{Connection: conn, Code: redact.New("code"), Scope: conn.Scope})
			d.clock.advance(10 * time.Minute)
			if v, vendErr := d.process().Vend(t.Context(), user()); vendErr == nil {
				t.Errorf("served %s; the consent: %v", v.AccessToken.Reveal(), err)
			}
		})
	}
}

func TestLaterConsentWins(t *testing.T) {
	d := newDelegation(t, rotates)
	frozen := false
	d.idp.after = func(oauth.Request) *oauth.Error {
		if !frozen {
			frozen = true
			d.clock.advance(time.Minute) // past the lease
			d.consent(d.process(), user())
			d.clock.advance(time.Second)
		}
		return nil
	}
	if err := d.tryConsent(d.process(), user(), nil); !problem.Is(err, problem.RefreshInProgress) {
		t.Errorf("AZ-30 the earlier consent: %v", err)
	}
	d.clock.advance(2 * time.Hour)
	d.vend(d.process(), user())
	if last := d.idp.requests[len(d.idp.requests)-1]; last.RefreshToken.Reveal() != "refresh_2" {
		t.Errorf("AZ-30 %s is stored", last.RefreshToken.Reveal())
	}
}

func TestFallbackWithAnUnknownOutcome(t *testing.T) {
	refused := &oauth.Error{Kind: oauth.Rejected, Code: "invalid_client", Trace: oauth.Trace{Calls: 1, Status: 401}}
	for name, answer := range map[string]func(oauth.Token) error{
		"CR-14 ambiguous": func(oauth.Token) error { return unanswered() },
		"INV-4 unusable":  unusable,
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := consented(t, rotates)
			d.declare("user", fmt.Sprintf(userConnection, "new"))
			d.clock.advance(expired)
			first := true
			core := d.processWithServer(func(r oauth.Request) (oauth.Token, error) {
				if r.ClientSecret.Reveal() == "new" {
					return oauth.Token{}, refused
				}
				token, err := d.idp.Token(t.Context(), r)
				if err != nil || !first {
					return token, err
				}
				first = false
				return oauth.Token{}, answer(token)
			})
			_, _ = core.Vend(t.Context(), user())
			item := d.grantOf(user())
			if saved := item.Grant.Fingerprint != item.RefreshAttempt.Fingerprint && item.RefreshAttempt.Fingerprint == ""; saved != (name == "INV-4 unusable") {
				t.Errorf("mark %q", item.RefreshAttempt.Fingerprint)
			}
			d.clock.advance(time.Minute)
			if _, err := core.Vend(t.Context(), user()); name == "INV-4 unusable" && err != nil {
				t.Errorf("the new refresh token is lost: %v", err)
			}
		})
	}
}

func TestRecreatedSecretGetsNoToken(t *testing.T) {
	d, _ := consented(t, rotates)
	d.clock.advance(expired)
	asked := 0
	core := d.processWithServer(func(r oauth.Request) (oauth.Token, error) {
		if asked++; asked > 1 {
			return d.idp.Token(t.Context(), r)
		}
		again := d.secrets.versions["user"][0]
		again.ARN, again.VersionID, again.Text = "arn:test:user-again", "w1", redact.New(fmt.Sprintf(userConnection, "new"))
		d.secrets.versions["user"] = []clientsecret.Secret{again}
		return oauth.Token{}, &oauth.Error{Kind: oauth.Rejected, Code: "invalid_client", Trace: oauth.Trace{Calls: 1, Status: 401}}
	})
	if v, err := core.Vend(t.Context(), user()); err == nil || asked > 1 {
		t.Errorf("CR-38 %d requests, served %s", asked, v.AccessToken.Reveal())
	}
}

func TestInvalidGrantIsNotBelievedUnderAnothersLease(t *testing.T) {
	d, _ := consented(t, keeps)
	d.clock.advance(expired)
	core := d.processWithServer(func(oauth.Request) (oauth.Token, error) {
		d.clock.advance(25 * time.Second) // the lease has expired, and another process has it
		_, err := d.store.Store.Acquire(t.Context(), tokenstore.Acquire{Key: tokenstore.Key{Connection: "user"}, Owner: "b",
			Now: d.clock.Now(), TTL: 19 * time.Second, UsesRefreshToken: true})
		if err != nil {
			t.Error(err)
		}
		return oauth.Token{}, invalidGrant()
	})
	ctx, entry := audited(t)
	if _, err := core.Vend(ctx, user()); !problem.Is(err, problem.RefreshInProgress) || warned(entry, "grant_ended") {
		t.Errorf("CR-15 got %v", err)
	}
}

func TestUnstoredSuccessorLeavesTheMark(t *testing.T) {
	d, _ := consented(t, rotates)
	d.clock.advance(expired)
	core := d.processWithServer(func(r oauth.Request) (oauth.Token, error) {
		token, _ := d.idp.Token(t.Context(), r)
		return oauth.Token{}, unusable(token)
	})
	d.store.refuse("commit", true)
	_, _ = core.Vend(t.Context(), user())
	if item := d.grantOf(user()); item.RefreshAttempt.Fingerprint == "" {
		t.Error("CR-13 other processes cannot know that the refresh token is used up")
	}
}

// withPendingWrite is a delegation with a process that could not store a refresh token.
func withPendingWrite(t *testing.T) (*delegation, *vending.Core) {
	d, core := consented(t, rotates)
	d.clock.advance(expired)
	d.store.refuse("commit", true)
	if _, err := core.Vend(t.Context(), user()); err == nil {
		t.Fatal("served a token whose grant is not stored")
	}
	d.store.refuse("commit", false)
	return d, core
}

func TestPendingWriteIsFlushedFirst(t *testing.T) {
	for name, invoke := range map[string]func(*vending.Core) error{
		"vend of another": func(c *vending.Core) error {
			_, _ = c.Vend(context.Background(), crm()) // which this server does not serve
			return nil
		},
		"visit": func(c *vending.Core) error {
			_, err := c.Inspect(context.Background(), tokenstore.Key{Connection: "crm"}, time.Time{})
			return err
		},
		"forgetting another": func(c *vending.Core) error { return c.Forget(context.Background(), crm(), false) },
		"start of a consent": func(c *vending.Core) error { _, err := c.Delegated(context.Background(), user()); return err },
		"disconnection":      func(c *vending.Core) error { return c.Disconnect(context.Background(), of("bob")) },
		"tick":               func(c *vending.Core) error { c.FlushPending(context.Background()); return nil },
	} {
		t.Run("CR-13 FI-31 "+name, func(t *testing.T) {
			d, core := withPendingWrite(t)
			before := d.grantOf(user()).Grant.Fingerprint
			if err := invoke(core); err != nil {
				t.Fatal(err)
			}
			if d.grantOf(user()).Grant.Fingerprint == before {
				t.Error("not saved")
			}
		})
	}
}

func TestDisconnectLeavesNoValidRefreshToken(t *testing.T) {
	disconnect := func(t *testing.T, core *vending.Core) {
		if err := core.Disconnect(t.Context(), user()); err != nil {
			t.Error(err)
		}
	}
	t.Run("OC-14 rotated meanwhile", func(t *testing.T) {
		d, core := consented(t, rotates)
		d.clock.advance(59 * time.Minute)
		other, once := d.process(), true
		d.idp.revoking = func() {
			if once {
				once = false
				d.vend(other, user())
			}
		}
		disconnect(t, core)
		if left := d.orphans(); len(left) > 0 {
			t.Error(left)
		}
	})
	t.Run("OC-14 one that was not stored yet", func(t *testing.T) {
		d, core := withPendingWrite(t)
		disconnect(t, core)
		if left := d.orphans(); len(left) > 0 {
			t.Error(left)
		}
	})
	t.Run("FI-49 one that is pending in another process", func(t *testing.T) {
		d, core := withPendingWrite(t)
		disconnect(t, d.process())
		core.FlushPending(t.Context())
		if left := d.orphans(); len(left) > 0 {
			t.Error(left)
		}
	})
	t.Run("FI-49 one from an unusable response", func(t *testing.T) {
		d, _ := consented(t, rotates)
		d.clock.advance(expired)
		core := d.processWithServer(func(r oauth.Request) (oauth.Token, error) {
			token, _ := d.idp.Token(t.Context(), r)
			disconnect(t, d.process())
			return oauth.Token{}, unusable(token)
		})
		_, _ = core.Vend(t.Context(), user())
		if left := d.orphans(); len(left) > 0 {
			t.Error(left)
		}
	})
}

func TestPendingImportIsNeverRevoked(t *testing.T) {
	d := newDelegation(t, keeps)
	d.idp.knows("imported")
	core := d.process()
	d.store.refuse("adopt", true)
	if err := core.Import(t.Context(), vending.Import{Request: user(), RefreshToken: redact.New("imported")}); !problem.Is(err, problem.StoreUnavailable) {
		t.Fatalf("got %v", err)
	}
	d.store.refuse("adopt", false)
	d.clock.advance(21 * time.Second)
	d.consent(d.process(), user())
	d.vend(core, user())
	if len(d.idp.revoked) > 0 {
		t.Errorf("OC-14 revoked %v, which another program may use", d.idp.revoked)
	}
}

func TestUnknownOutcomeDefersOnlyWhileATokenIsServed(t *testing.T) {
	t.Run("INV-7 not when another declaration minted it", func(t *testing.T) {
		d, core := consented(t, keeps)
		d.vend(core, user())
		d.clock.advance(5 * time.Minute)
		d.declare("user", fmt.Sprintf(userConnection, "another"))
		d.idp.after = func(oauth.Request) *oauth.Error { d.idp.after = nil; return unanswered() }
		if _, err := d.process().Reconcile(t.Context(), userChanged); err != nil {
			t.Fatal(err)
		}
		d.clock.advance(time.Minute)
		d.vend(d.process(), user())
	})
	t.Run("CR-28 not for the caller that reports it dead", func(t *testing.T) {
		d, core := consented(t, keeps)
		d.clock.advance(52 * time.Minute)
		d.idp.after = func(oauth.Request) *oauth.Error { return unanswered() }
		r := user()
		r.RejectedTokenID = d.vend(core, user()).ID
		d.idp.after = nil
		d.clock.advance(time.Minute)
		d.vend(d.process(), r)
	})
	t.Run("CR-28 nor for one that did before", func(t *testing.T) {
		d, core := consented(t, keeps)
		d.clock.advance(5 * time.Minute)
		r := user()
		r.RejectedTokenID = d.vend(core, user()).ID
		d.idp.after = func(oauth.Request) *oauth.Error { d.idp.after = nil; return unanswered() }
		if _, err := core.Vend(t.Context(), r); err == nil {
			t.Fatal("a token of a lost response was served")
		}
		d.clock.advance(time.Minute)
		d.vend(d.process(), user()) // another process
		d.clock.advance(time.Minute)
		d.vend(d.process(), r)
	})
}

// A process with a cached copy of the former declaration reads the secret again
// before it refuses a consent that was given to the current one.
func TestConsentUnderANewerDeclaration(t *testing.T) {
	d, _ := consented(t, rotates)
	old := d.secrets.versions["user"][0]
	d.declare("user", strings.Replace(fmt.Sprintf(userConnection, "hush"), `"app"`, `"app2"`, 1))
	core := d.process()
	d.consent(core, user())
	if err := core.Forget(t.Context(), user(), false); err != nil {
		t.Fatal(err)
	}
	d.secrets.stale = map[string]clientsecret.Secret{"user": old}
	d.vend(d.process(), user())
}

func TestImportTakesTheEndThatTheServerStates(t *testing.T) {
	d := newDelegation(t, repeats)
	d.idp.refreshLife = 10 * 24 * time.Hour
	d.idp.knows("imported")
	i := vending.Import{Request: user(), RefreshToken: redact.New("imported"), ExpiresAt: d.clock.Now().Add(400 * 24 * time.Hour)}
	if err := d.process().Import(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	if got := d.grantOf(user()).Grant.ExpiresAt.Sub(d.clock.Now()); got != d.idp.refreshLife {
		t.Errorf("CR-27 ends in %v, not in the %v that the server states", got, d.idp.refreshLife)
	}
}

func TestImportOfTheStoredGrantUpdatesItsEnd(t *testing.T) {
	d := newDelegation(t, keeps)
	d.idp.knows("imported")
	i := vending.Import{Request: user(), RefreshToken: redact.New("imported")}
	core := d.process()
	if err := core.Import(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	i.ExpiresAt = d.clock.Now().Add(20 * time.Hour)
	ctx, entry := audited(t)
	if err := core.Import(ctx, i); err != nil {
		t.Fatal(err)
	}
	if got := d.grantOf(user()).Grant.ExpiresAt; !got.Equal(i.ExpiresAt) || !warned(entry, "grant_expires_1d") {
		t.Errorf("CR-27 ends at %v, want %v, and a warning", got, i.ExpiresAt)
	}
}
