package metered

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/wheel"
)

// Attribute is one attribute as DynamoDB's JSON protocol writes it. A nil
// member is absent.
type Attribute struct {
	S    *string `json:",omitempty"`
	N    *string `json:",omitempty"`
	B    []byte  `json:",omitempty"`
	BOOL *bool   `json:",omitempty"`
}

// attributes skips what is empty, as the adapter does.
type attributes map[string]Attribute

func (a attributes) text(name, value string) {
	if value != "" {
		a[name] = Attribute{S: &value}
	}
}

func (a attributes) number(name string, value int64) {
	if value != 0 {
		digits := strconv.FormatInt(value, 10)
		a[name] = Attribute{N: &digits}
	}
}

func (a attributes) bytes(name string, value []byte) {
	if len(value) > 0 {
		a[name] = Attribute{B: value}
	}
}

func (a attributes) instant(name string, at time.Time) {
	if !at.IsZero() {
		a.number(name, at.UnixMilli())
	}
}

func (a attributes) key(key tokenstore.Key) {
	a.text("pk", "connection/"+key.Connection)
	sort := "token"
	if key.Subject != "" {
		sort = "subject/" + key.Subject
	}
	if key.Variant != "" {
		sort += "/" + key.Variant
	}
	a.text("sk", sort)
}

// Attributes returns the item as the adapter stores it, without what only
// failures, rejections and scope variants add; nil when there is none.
func Attributes(item tokenstore.Item) map[string]Attribute {
	if item.Version == 0 && item.Lease.Seq == 0 {
		return nil
	}
	a := attributes{}
	a.key(item.Key)
	a.number("schema", 1)
	a.number("version", item.Version)
	a.text("generation", item.SecretIncarnation)
	a.text("lease_owner", item.Lease.Owner)
	a.instant("lease_until", item.Lease.Until)
	a.number("lease_seq", item.Lease.Seq)
	if item.Used {
		a["used"] = Attribute{BOOL: &item.Used}
	}
	a.text("renew_slot", item.RenewSlot)
	a.token(item.Token)
	a.grant(item.Grant)
	a.attempt(item.RefreshAttempt)
	if item.Grant.Fingerprint == "" {
		a.number("ttl", item.Token.ExpiresAt.Add(24*time.Hour).Unix())
	}
	return a
}

func (a attributes) token(t tokenstore.SealedToken) {
	a.text("token_id", t.ID)
	a.bytes("sealed", t.Sealed)
	a.instant("minted_at", t.MintedAt)
	a.instant("expires_at", t.ExpiresAt)
	a.text("mint_id", t.MintID)
	a.text("declaration", t.ConfigHash)
	a.text("secret_version", t.SecretVersion)
}

func (a attributes) grant(g tokenstore.SealedGrant) {
	a.bytes("grant", g.Sealed)
	a.text("grant_fp", g.Fingerprint)
	a.text("grant_generation", g.SecretIncarnation)
	a.text("grant_client", g.Client)
	a.instant("grant_expires_at", g.ExpiresAt)
	a.text("consented_by", g.ConsentedBy)
	a.instant("consented_at", g.ConsentedAt)
	a.instant("refreshed_at", g.RefreshedAt)
}

func (a attributes) attempt(mark tokenstore.RefreshAttempt) {
	if mark.Attempt == "" {
		return
	}
	a.text("spend_fp", cmp.Or(mark.Fingerprint, "-"))
	a.text("spend_before", cmp.Or(mark.Before, "-"))
	a.text("spend_by", mark.Attempt)
	a.instant("spend_at", mark.StartedAt)
}

// Size is the item's size in bytes as DynamoDB counts it; 0 when there is none.
func Size(item tokenstore.Item) int { return size(Attributes(item)) }

// size adds up names and values. A number has a byte for each two significant
// digits and one for the exponent.
func size(all map[string]Attribute) int {
	n := 0
	for name, a := range all {
		n += len(name) + len(a.B)
		switch {
		case a.S != nil:
			n += len(*a.S)
		case a.N != nil:
			n += (len(strings.TrimRight(*a.N, "0"))+1)/2 + 1
		case a.BOOL != nil:
			n++
		}
	}
	return n
}

// entrySize is the size of an item's entry in the index, which holds keys only.
func entrySize(key tokenstore.Key, slot string) int {
	a := attributes{}
	a.key(key)
	a.text("renew_slot", slot)
	return size(a)
}

// declarationKey is the entry of a connection's record in the index.
func declarationKey(connection string) attributes {
	a := attributes{}
	a.text("pk", "declaration/"+connection)
	a.text("sk", "declaration")
	a.text("renew_slot", wheel.RecordSlot(wheel.RecordShard(connection)))
	return a
}

// DeclarationAttributes returns the record as the adapter stores it; nil when there
// is none.
func DeclarationAttributes(d tokenstore.DeclarationRecord) map[string]Attribute {
	if d.Version == 0 {
		return nil
	}
	a := declarationKey(d.Connection)
	a.number("schema", 1)
	a.number("version", d.Version)
	a.bytes("record", d.Sealed)
	if !d.DeleteAfter.IsZero() {
		a.number("ttl", d.DeleteAfter.Unix())
	}
	return a
}

func declarationSize(d tokenstore.DeclarationRecord) int { return size(DeclarationAttributes(d)) }

func documentSize(n tokenstore.Document) int {
	if n.Version == 0 && len(n.Text) == 0 {
		return 0
	}
	a := attributes{}
	a.text("pk", "renewer")
	a.text("sk", n.Name)
	a.number("version", max(n.Version, 1))
	a.bytes("note", n.Text)
	return size(a)
}
