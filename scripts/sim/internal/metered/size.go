package metered

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// weight adds up what DynamoDB counts of an item: names and values.
type weight int

func (w *weight) text(name, value string) {
	if value != "" {
		*w += weight(len(name) + len(value))
	}
}

// number counts a byte for two significant digits and one for the exponent.
func (w *weight) number(name string, n int64) {
	digits := strings.TrimRight(strconv.FormatInt(n, 10), "0")
	*w += weight(len(name) + (len(digits)+1)/2 + 1)
}

func (w *weight) count(name string, n int64) {
	if n != 0 {
		w.number(name, n)
	}
}

func (w *weight) instant(name string, at time.Time) {
	if !at.IsZero() {
		w.number(name, at.UnixMilli())
	}
}

func (w *weight) key(key tokenstore.Key) {
	sort := "token"
	if key.Subject != "" {
		sort = "subject/" + key.Subject
	}
	if key.Variant != "" {
		sort += "/" + key.Variant
	}
	w.text("pk", "connection/"+key.Connection)
	w.text("sk", sort)
}

// itemSize is what an item weighs in the table, in bytes; 0 when there is none.
func itemSize(item tokenstore.Item) int {
	if item.Version == 0 && item.Lease.Seq == 0 && len(item.Variants) == 0 {
		return 0
	}
	var w weight
	w.key(item.Key)
	w.number("schema", 1)
	w.count("version", item.Version)
	w.text("generation", item.SecretIncarnation)
	w.token(item.Token)
	w.text("lease_owner", item.Lease.Owner)
	w.instant("lease_until", item.Lease.Until)
	w.count("lease_seq", item.Lease.Seq)
	w.failure(item.Failure)
	w.text("rejected_id", item.RejectedID)
	w.forced(item.ForcedRefreshes)
	w.text("must_load", item.RequiredSecretVersion)
	if item.Used {
		w += weight(len("used") + 1)
	}
	w.text("renew_slot", item.RenewSlot)
	w.text("variants", strings.Join(item.Variants, ""))
	w.grant(item.Grant)
	w.inflight(item.RefreshAttempt)
	if item.Key.Subject == "" && item.Grant.Fingerprint == "" {
		w += weight(len("ttl") + 6) // ten digits of seconds
	}
	return int(w)
}

func (w *weight) token(t tokenstore.SealedToken) {
	w.text("token_id", t.ID)
	w.text("sealed", string(t.Sealed))
	w.instant("minted_at", t.MintedAt)
	w.instant("expires_at", t.ExpiresAt)
	w.text("declaration", t.ConfigHash)
	w.text("secret_version", t.SecretVersion)
}

func (w *weight) grant(g tokenstore.SealedGrant) {
	w.text("grant", string(g.Sealed))
	w.text("grant_fp", g.Fingerprint)
	w.text("grant_generation", g.SecretIncarnation)
	w.text("grant_client", g.Client)
	w.instant("grant_expires_at", g.ExpiresAt)
	w.text("consented_by", g.ConsentedBy)
	w.instant("consented_at", g.ConsentedAt)
	w.instant("refreshed_at", g.RefreshedAt)
}

func (w *weight) inflight(mark tokenstore.RefreshAttempt) {
	if mark.Attempt == "" {
		return
	}
	w.text("spend_fp", cmp.Or(mark.Fingerprint, "-"))
	w.text("spend_before", cmp.Or(mark.Before, "-"))
	w.text("spend_by", mark.Attempt)
	w.instant("spend_at", mark.StartedAt)
}

func (w *weight) failure(f tokenstore.Failure) {
	if f.Count == 0 {
		return
	}
	w.number("fail_count", int64(f.Count))
	w.text("fail_code", f.Code)
	w.count("fail_status", int64(f.Status))
	w.text("fail_provider", f.ProviderCode)
	w.text("fail_cause", f.Cause)
	w.instant("failed_at", f.FailedAt)
	w.instant("next_attempt_at", f.NextAttemptAt)
}

// forced is a list: three bytes and one more for each element.
func (w *weight) forced(all []time.Time) {
	if len(all) == 0 {
		return
	}
	*w += weight(len("forced") + 3)
	for _, at := range all {
		w.instant("", at)
		*w++
	}
}

// entrySize is what an item's entry in the index weighs: keys only.
func entrySize(key tokenstore.Key, slot string) int {
	var w weight
	w.key(key)
	w.text("renew_slot", slot)
	return int(w)
}

func noteSize(n tokenstore.Document) int {
	if n.Version == 0 && len(n.Text) == 0 {
		return 0
	}
	var w weight
	w.text("pk", "renewer")
	w.text("sk", n.Name)
	w.number("version", max(n.Version, 1))
	w.text("note", string(n.Text))
	return int(w)
}
