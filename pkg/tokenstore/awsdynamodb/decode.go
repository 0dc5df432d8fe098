package awsdynamodb

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// decodeValid decodes an item for a reader; a corrupt item is an error.
func decodeValid(key tokenstore.Key, found attributes) (tokenstore.Item, error) {
	item, bad := decode(key, found)
	if len(bad) > 0 {
		return tokenstore.Item{Key: key}, corruptItem(key, found, bad)
	}
	return item, nil
}

// corruptItem returns the error of an item with corrupt attributes. A lease that
// alone is corrupt does not affect a grant, because the next Acquire replaces it.
func corruptItem(key tokenstore.Key, found attributes, bad []string) error {
	if corruptBeyondLease(bad) && mayHoldGrant(key, found) {
		return corrupt(tokenstore.ErrGrantCorrupt, bad)
	}
	return corrupt(tokenstore.ErrCorrupt, bad)
}

// corrupt names the corrupt attributes, never their values.
func corrupt(kind error, bad []string) error {
	return fmt.Errorf("%w: unusable %s", kind, strings.Join(bad, ", "))
}

// decode reads the valid attributes of an item, and returns the names of those
// that are missing, of a wrong type or out of range. The fields of these are zero.
func decode(key tokenstore.Key, found attributes) (tokenstore.Item, []string) {
	if len(found) == 0 {
		return tokenstore.Item{Key: key}, nil
	}
	r := &reader{found: found}
	item := tokenstore.Item{
		Key:               key,
		Version:           r.number(attrVersion, maxCount),
		SecretIncarnation: r.text(attrSecretIncarnation),
		Token:             r.token(),
		Lease:             r.lease(),
		Failure:           r.failure(),
		RejectedID:        r.text(attrRejectedID),
		ForcedRefreshes:   r.forcedRefreshes(),
		Used:              r.flag(attrUsed),
		RenewSlot:         r.text(attrRenewSlot),
		Variants:          r.set(attrVariants),
		Grant:             r.grant(),
	}
	item.RefreshAttempt = r.refreshAttempt(item.Grant.Fingerprint)
	if schema := r.number(attrSchema, maxCount); schema != schemaVersion {
		r.fault(attrSchema)
	}
	if (item.Token.ID != "" || item.Grant.Fingerprint != "") && item.Version == 0 {
		r.fault(attrVersion)
	}
	return item, r.bad
}

// reader reads attributes one by one and collects the names of corrupt ones.
type reader struct {
	found attributes
	bad   []string
}

// fault reports a corrupt attribute.
func (r *reader) fault(name string) {
	if !slices.Contains(r.bad, name) {
		r.bad = append(r.bad, name)
	}
}

// require reports the absent attributes of names if any attribute of group is
// present: this package writes them together.
func (r *reader) require(group []string, names ...string) {
	for _, name := range group {
		if r.found[name] == nil {
			continue
		}
		for _, need := range names {
			if r.found[need] == nil {
				r.fault(need)
			}
		}
		return
	}
}

func (r *reader) token() tokenstore.SealedToken {
	core := []string{attrTokenID, attrSealed, attrMintedAt, attrExpiresAt}
	r.require(core, core...)
	return tokenstore.SealedToken{
		ID:            r.text(attrTokenID),
		Sealed:        r.bytes(attrSealed),
		MintedAt:      r.instant(attrMintedAt),
		ExpiresAt:     r.instant(attrExpiresAt),
		MintID:        r.text(attrMintID),
		ConfigHash:    r.text(attrConfigHash),
		SecretVersion: r.text(attrSecretVersion),
		Departures:    r.set(attrDepartures),
		ExtraNames:    r.set(attrExtraNames),
	}
}

func (r *reader) lease() tokenstore.Lease {
	r.require(leaseAttributes, leaseAttributes...)
	return tokenstore.Lease{
		Owner: r.text(attrLeaseOwner),
		Until: r.instant(attrLeaseUntil),
		Seq:   r.number(attrLeaseSeq, maxCount),
	}
}

func (r *reader) failure() tokenstore.Failure {
	r.require(failureAttributes, attrFailCount, attrNextAttemptAt)
	return tokenstore.Failure{
		Count:         int(r.number(attrFailCount, maxCount)),
		Code:          r.text(attrFailCode),
		Status:        int(r.number(attrFailStatus, 999)),
		ProviderCode:  r.text(attrFailProvider),
		Detail:        r.text(attrFailDetail),
		FailedAt:      r.instant(attrFailedAt),
		NextAttemptAt: r.instant(attrNextAttemptAt),
		Cause:         r.text(attrFailCause),
	}
}

func (r *reader) grant() tokenstore.SealedGrant {
	r.require(grantAttributes, attrGrant, attrGrantFingerprint)
	fingerprint := r.text(attrGrantFingerprint)
	of, bound, _ := strings.Cut(r.text(attrGrantBound), "/")
	if of != fingerprint {
		bound = ""
	}
	return tokenstore.SealedGrant{
		Fingerprint:       fingerprint,
		Bound:             bound,
		Sealed:            r.bytes(attrGrant),
		SecretIncarnation: r.text(attrGrantSecretIncarnation),
		Client:            r.text(attrGrantClient),
		ConsentedBy:       r.text(attrConsentedBy),
		ConsentedAt:       r.instant(attrConsentedAt),
		RefreshedAt:       r.instant(attrRefreshedAt),
		ExpiresAt:         r.instant(attrGrantExpiresAt),
	}
}

// refreshAttempt reads the mark. A corrupt mark counts as the mark of the current
// refresh token, which is the safe assumption. It does not make the item corrupt,
// because the next attempt replaces it and the grant is not affected.
func (r *reader) refreshAttempt(current string) tokenstore.RefreshAttempt {
	mark := &reader{found: r.found}
	fingerprint := func(name string) string {
		s := mark.text(name)
		switch {
		case slices.Contains(mark.bad, name):
			return current
		case s == noFingerprint:
			return ""
		}
		return s
	}
	return tokenstore.RefreshAttempt{
		Fingerprint: fingerprint(attrAttemptFingerprint),
		Attempt:     mark.text(attrAttemptOwner),
		StartedAt:   mark.instant(attrAttemptStartedAt),
		Before:      fingerprint(attrAttemptPrevious),
	}
}

// attribute reads one attribute as T. An absent attribute is the zero value and valid.
func attribute[T types.AttributeValue](r *reader, name string) (value T, ok bool) {
	raw := r.found[name]
	if raw == nil {
		return value, false
	}
	if value, ok = raw.(T); !ok {
		r.fault(name)
	}
	return value, ok
}

func (r *reader) text(name string) string {
	if v, ok := attribute[*types.AttributeValueMemberS](r, name); ok {
		return v.Value
	}
	return ""
}

func (r *reader) bytes(name string) []byte {
	if v, ok := attribute[*types.AttributeValueMemberB](r, name); ok {
		return v.Value
	}
	return nil
}

func (r *reader) flag(name string) bool {
	v, ok := attribute[*types.AttributeValueMemberBOOL](r, name)
	return ok && v.Value
}

// set reads a string set and sorts it, because DynamoDB guarantees no order.
func (r *reader) set(name string) []string {
	if v, ok := attribute[*types.AttributeValueMemberSS](r, name); ok {
		return slices.Sorted(slices.Values(v.Value))
	}
	return nil
}

func (r *reader) number(name string, most int64) int64 {
	v, ok := attribute[*types.AttributeValueMemberN](r, name)
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(v.Value, 10, 64)
	if err != nil || n < 0 || n > most {
		r.fault(name)
		return 0
	}
	return n
}

func (r *reader) instant(name string) time.Time {
	if r.found[name] == nil {
		return time.Time{}
	}
	return fromMillis(r.number(name, maxMillis))
}

func fromMillis(n int64) time.Time { return time.UnixMilli(n).UTC() }
