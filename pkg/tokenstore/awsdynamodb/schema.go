package awsdynamodb

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// schemaVersion is written into every item. A reader refuses a newer one.
const schemaVersion = 1

// The attributes of an item beside its key. Names count into the item's size,
// and a write is billed by the kilobyte.
const (
	attrSchema     = "schema"
	attrVersion    = "version"
	attrGeneration = "generation"

	attrTokenID       = "token_id"
	attrSealed        = "sealed"
	attrMintedAt      = "minted_at"
	attrExpiresAt     = "expires_at"
	attrDeclaration   = "declaration"
	attrSecretVersion = "secret_version"

	attrLeaseOwner = "lease_owner"
	attrLeaseUntil = "lease_until"
	attrLeaseSeq   = "lease_seq"

	attrFailCount     = "fail_count"
	attrFailCode      = "fail_code"
	attrFailStatus    = "fail_status"
	attrFailProvider  = "fail_provider"
	attrFailCause     = "fail_cause"
	attrFailedAt      = "failed_at"
	attrNextAttemptAt = "next_attempt_at"

	attrRejectedID = "rejected_id"
	attrForced     = "forced"
	attrMustLoad   = "must_load"
	attrUsed       = "used"
	attrRenewSlot  = "renew_slot"
	attrVariants   = "variants"

	attrGrant           = "grant"
	attrGrantPrint      = "grant_fp"
	attrGrantGeneration = "grant_generation"
	attrGrantClient     = "grant_client"
	attrGrantExpiresAt  = "grant_expires_at"
	attrConsentedBy     = "consented_by"
	attrConsentedAt     = "consented_at"
	attrRefreshedAt     = "refreshed_at"

	attrSpendPrint   = "spend_fp"
	attrSpendAttempt = "spend_by"
	attrSpendAt      = "spend_at"
	attrSpendBefore  = "spend_before"

	attrTTL    = "ttl"
	attrTTLPin = "ttl_pin"
)

// What a drop, and the mending of a corrupt item, forget together.
var (
	tokenAttributes = []string{
		attrGeneration, attrTokenID, attrSealed, attrMintedAt, attrExpiresAt, attrDeclaration,
		attrSecretVersion, attrUsed, attrRejectedID,
	}
	failureAttributes = []string{
		attrFailCount, attrFailCode, attrFailStatus, attrFailProvider, attrFailCause, attrFailedAt, attrNextAttemptAt,
	}
	leaseAttributes = []string{attrLeaseOwner, attrLeaseUntil}
	grantAttributes = []string{
		attrGrant, attrGrantPrint, attrGrantGeneration, attrGrantClient, attrGrantExpiresAt,
		attrConsentedBy, attrConsentedAt, attrRefreshedAt,
	}
	spendAttributes = []string{attrSpendPrint, attrSpendAttempt, attrSpendAt, attrSpendBefore}
)

const (
	// maxCount bounds version and lease_seq; what lies beyond is corrupt (BI-75).
	maxCount = 1 << 53
	// maxMillis is the last instant of the year 9999, and what lies beyond is corrupt.
	maxMillis = 253402300799999
	// grace is how long an item outlives what it is good for (CR-16).
	grace = 24 * time.Hour
	// never is a ttl that no sweeper reaches, in seconds.
	never = maxMillis / 1000
	// nothing stands for a refresh token where there is none: a computed
	// attribute cannot be left out.
	nothing = "-"
)

// withoutGrant holds of an item that a ttl may stand on: there is no trace of a
// grant.
var withoutGrant = "attribute_not_exists(#" + strings.Join(grantAttributes, ") AND attribute_not_exists(#") + ")"

type attributes = map[string]types.AttributeValue

// primaryKey names the item. No part of a key may hold a slash, so that no two
// keys share an item.
func primaryKey(key tokenstore.Key) attributes {
	return attributes{"pk": text("connection/" + key.Connection), "sk": text(sortKey(key))}
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

// swept says whether DynamoDB may delete the item by its ttl, unless it holds a
// grant. A subject's item is there for its refresh token, which nothing but its
// owner ends.
func swept(key tokenstore.Key) bool { return key.Subject == "" }

// holdsGrant says whether the item that stands under key holds a refresh token,
// or may be meant to: any trace of one counts.
func holdsGrant(key tokenstore.Key, found attributes) bool {
	if len(found) == 0 {
		return false
	}
	return key.Subject != "" || slices.ContainsFunc(grantAttributes, func(name string) bool { return found[name] != nil })
}

// sweepAt is the ttl of an item that is good for something until the latest of
// the instants, in seconds since the epoch.
func sweepAt(until ...time.Time) types.AttributeValue {
	latest := slices.MaxFunc(until, time.Time.Compare)
	return number(latest.Add(grace).Unix())
}

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func instant(at time.Time) types.AttributeValue { return number(at.UnixMilli()) }

func instants(all []time.Time) types.AttributeValue {
	list := make([]types.AttributeValue, len(all))
	for i, at := range all {
		list[i] = instant(at)
	}
	return &types.AttributeValueMemberL{Value: list}
}
