package awsdynamodb

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// schemaVersion is written into every item. A reader refuses any other version.
const schemaVersion = 1

// The attributes of an item. Their names are stored: renaming one makes every
// stored item unreadable. They are short because a name counts towards the size
// of the item, and a write is billed by the kilobyte.
const (
	attrPartitionKey = "pk"
	attrSortKey      = "sk"

	attrSchema            = "schema"
	attrVersion           = "version"
	attrSecretIncarnation = "generation"

	attrTokenID       = "token_id"
	attrSealed        = "sealed"
	attrMintedAt      = "minted_at"
	attrExpiresAt     = "expires_at"
	attrMintID        = "mint_id"
	attrConfigHash    = "declaration"
	attrSecretVersion = "secret_version"
	attrDepartures    = "departures"
	attrExtraNames    = "extra_names"

	attrLeaseOwner = "lease_owner"
	attrLeaseUntil = "lease_until"
	attrLeaseSeq   = "lease_seq"

	attrFailCount     = "fail_count"
	attrFailCode      = "fail_code"
	attrFailStatus    = "fail_status"
	attrFailProvider  = "fail_provider"
	attrFailDetail    = "fail_detail"
	attrFailCause     = "fail_cause"
	attrFailedAt      = "failed_at"
	attrNextAttemptAt = "next_attempt_at"

	attrRejectedID      = "rejected_id"
	attrForcedRefreshes = "forced"
	attrForcedBy        = "forced_by"
	attrUsed            = "used"
	attrRenewSlot       = "renew_slot"
	attrVariants        = "variants"

	// attrRequiredSecretVersion is the secret version that the next refresh must use. The
	// release before this one sets it and obeys it; here a new token removes it.
	attrRequiredSecretVersion = "must_load"

	attrGrant                  = "grant"
	attrGrantFingerprint       = "grant_fp"
	attrGrantSecretIncarnation = "grant_generation"
	attrGrantClient            = "grant_client"
	attrGrantBound             = "grant_bound"
	attrGrantExpiresAt         = "grant_expires_at"
	attrConsentedBy            = "consented_by"
	attrConsentedAt            = "consented_at"
	attrRefreshedAt            = "refreshed_at"

	attrAttemptFingerprint = "spend_fp"
	attrAttemptOwner       = "spend_by"
	attrAttemptStartedAt   = "spend_at"
	attrAttemptPrevious    = "spend_before"

	attrTTL    = "ttl"
	attrTTLPin = "ttl_pin"
)

// Groups of attributes that are removed together.
var (
	tokenAttributes = []string{
		attrSecretIncarnation, attrTokenID, attrSealed, attrMintedAt, attrExpiresAt, attrMintID, attrConfigHash,
		attrSecretVersion, attrDepartures, attrExtraNames, attrUsed, attrRejectedID,
	}
	failureAttributes = []string{
		attrFailCount, attrFailCode, attrFailStatus, attrFailProvider, attrFailDetail, attrFailCause, attrFailedAt, attrNextAttemptAt,
	}
	leaseAttributes = []string{attrLeaseOwner, attrLeaseUntil}
	grantAttributes = []string{
		attrGrant, attrGrantFingerprint, attrGrantSecretIncarnation, attrGrantClient, attrGrantBound, attrGrantExpiresAt,
		attrConsentedBy, attrConsentedAt, attrRefreshedAt,
	}
	attemptAttributes = []string{attrAttemptFingerprint, attrAttemptOwner, attrAttemptStartedAt, attrAttemptPrevious}
)

const (
	// maxCount bounds version and lease_seq; a larger number is corrupt (BI-75).
	maxCount = 1 << 53
	// maxMillis is the last instant of the year 9999; a later one is corrupt.
	maxMillis = 253402300799999
	// retention is how long an item is kept after it was last useful (CR-16).
	retention = 24 * time.Hour
	// noExpiry is a ttl in the year 9999, in seconds.
	noExpiry = maxMillis / 1000
	// noFingerprint is stored where there is no refresh token: an update
	// expression that computes an attribute cannot omit it.
	noFingerprint = "-"
)

// noGrant is the condition that an item has no attribute of a grant, so that it
// may have a ttl.
var noGrant = "attribute_not_exists(#" + strings.Join(grantAttributes, ") AND attribute_not_exists(#") + ")"

type attributes = map[string]types.AttributeValue

// primaryKey returns the primary key of an item. No part of a tokenstore.Key may
// contain a slash; otherwise two keys could share an item.
func primaryKey(key tokenstore.Key) attributes {
	return attributes{attrPartitionKey: text("connection/" + key.Connection), attrSortKey: text(sortKey(key))}
}

func sortKey(key tokenstore.Key) string {
	sk := "token"
	if key.Subject != "" {
		sk = "subject/" + key.Subject
	}
	if key.Variant != "" {
		sk += "/" + key.Variant
	}
	return sk
}

// mayExpire reports whether every write sets the ttl of an item without a grant. A
// subject's item exists for its refresh token: a lease on it removes the ttl, and only
// a write that requires that there is no grant sets one.
func mayExpire(key tokenstore.Key) bool { return key.Subject == "" }

// mayHoldGrant reports whether the stored item contains a refresh token or may
// have contained one. Any attribute of a grant counts.
func mayHoldGrant(key tokenstore.Key, found attributes) bool {
	return len(found) > 0 && (key.Subject != "" || hasGrant(found))
}

// hasGrant reports whether the stored item has any attribute of a grant.
func hasGrant(found attributes) bool {
	return slices.ContainsFunc(grantAttributes, func(name string) bool { return found[name] != nil })
}

// ttlAfter returns the ttl of an item that is useful until the latest of the
// instants.
func ttlAfter(until ...time.Time) types.AttributeValue {
	latest := slices.MaxFunc(until, time.Time.Compare)
	return number(latest.Add(retention).Unix())
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func instant(at time.Time) types.AttributeValue { return number(at.UnixMilli()) }
