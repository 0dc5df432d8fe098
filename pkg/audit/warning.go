package audit

import "slices"

// Warning names an unusual event in a request, which may succeed nevertheless.
// Audit lines list warnings, and operators search for them, so the values are
// fixed. [Warnings] describes each of them.
type Warning string

// Warnings about the token table.
const (
	StoreUnavailable     Warning = "store_unavailable"
	ItemCorrupt          Warning = "item_corrupt"
	SealedTokenCorrupt   Warning = "sealed_token_corrupt"
	DeclarationCorrupt   Warning = "declaration_record_corrupt"
	TokenNotStored       Warning = "token_not_stored"
	FailureNotStored     Warning = "failure_not_stored"
	LeaseNotReleased     Warning = "lease_not_released"
	InUseMarkNotWritten  Warning = "in_use_mark_not_written"
	StatusNotRead        Warning = "status_unread"
	SessionCorrupt       Warning = "session_corrupt"
	SessionSchemaUnknown Warning = "session_schema"
	PendingLimitCorrupt  Warning = "consent_roster_corrupt"
	PendingSessionKept   Warning = "consent_place_kept"
)

// Warnings about grants.
const (
	GrantCorrupt           Warning = "grant_corrupt"
	GrantEnded             Warning = "grant_ended"
	GrantExpiresIn7Days    Warning = "grant_expires_7d"
	GrantExpiresIn1Day     Warning = "grant_expires_1d"
	RefreshAmbiguous       Warning = "refresh_ambiguous"
	RefreshSuperseded      Warning = "refresh_superseded"
	RefreshTokenUnsaved    Warning = "refresh_token_unsaved"
	RefreshTokenSavedLate  Warning = "refresh_token_saved_late"
	RefreshTokenNotRevoked Warning = "refresh_token_not_revoked"
	NotRevoked             Warning = "not_revoked"
	NoRefreshToken         Warning = "no_refresh_token"
	ReportedDead           Warning = "reported_dead"
)

// Warnings about consents.
const (
	ConsentRefused  Warning = "consent_refused"
	PKCEOff         Warning = "pkce_off"
	SessionMismatch Warning = "session_mismatch"
	SessionGuessed  Warning = "session_guessed"
)

// Warnings about a provider's token response.
const (
	ResponseDeparts  Warning = "response_departs"
	ScopeNotCompared Warning = "scope_not_compared"
)

// WarningInfo describes a warning to operators.
type WarningInfo struct {
	Warning Warning
	Meaning string
	// Metric is the metric that counts the warning; empty for most.
	Metric string

	directive string
}

// Warnings returns every warning, in the order of the documentation.
func Warnings() []WarningInfo { return slices.Clone(warnings) }

// info returns the description of a warning; the zero value when it has none.
func (w Warning) info() WarningInfo {
	i := slices.IndexFunc(warnings, func(info WarningInfo) bool { return info.Warning == w })
	if i < 0 {
		return WarningInfo{}
	}
	return warnings[i]
}

var warnings = []WarningInfo{
	{Warning: StoreUnavailable, Meaning: "the token table did not answer; the token came from memory or was issued without the table"},
	{Warning: ItemCorrupt, Meaning: "an item of the token table cannot be read; it counts as missing and the next refresh replaces it"},
	{Warning: SealedTokenCorrupt, Meaning: "a stored token cannot be opened with the keyset; it counts as missing"},
	{Warning: DeclarationCorrupt, Meaning: "a connection's declaration record cannot be read; it counts as missing and is written again"},
	{Warning: TokenNotStored, Metric: "TokensUnstored", directive: directiveUnstored,
		Meaning: "an issued token could not be stored; only this process serves it"},
	{Warning: FailureNotStored, Meaning: "a failed refresh could not be recorded; other processes may repeat it"},
	{Warning: LeaseNotReleased, Meaning: "a lease could not be released; it ends by itself"},
	{Warning: InUseMarkNotWritten, Meaning: "the mark that a token is in use could not be written; it may not be renewed ahead of time"},
	{Warning: StatusNotRead, Meaning: "a consent was stored, but the connection's status could not be read afterwards"},
	{Warning: SessionCorrupt, Meaning: "a consent session cannot be read or opened; start a new consent"},
	{Warning: SessionSchemaUnknown, Meaning: "a consent session was started by another release; start a new consent"},
	{Warning: PendingLimitCorrupt, Meaning: "a principal's record of pending consents cannot be read; it counts as empty"},
	{Warning: PendingSessionKept, Meaning: "a finished consent still counts as pending for its principal until it expires"},

	{Warning: GrantCorrupt, Metric: "GrantsUnreadable", directive: directiveUnreadable,
		Meaning: "a stored grant cannot be read; it is left as it is and is not used"},
	{Warning: GrantEnded, Meaning: "the provider reported the grant as invalid; a new consent is required"},
	{Warning: GrantExpiresIn7Days, Metric: "GrantsExpiringIn7Days", directive: directiveExpiring7Days,
		Meaning: "the refresh token expires within seven days"},
	{Warning: GrantExpiresIn1Day, Metric: "GrantsExpiringIn1Day", directive: directiveExpiring1Day,
		Meaning: "the refresh token expires within one day"},
	{Warning: RefreshAmbiguous, Metric: "RefreshesAmbiguous", directive: directiveAmbiguous,
		Meaning: "the outcome of a refresh is unknown; the refresh token may have been used"},
	{Warning: RefreshSuperseded, Meaning: "a refresh finished after its grant was replaced or disconnected; its tokens are discarded"},
	{Warning: RefreshTokenUnsaved, Metric: "RefreshTokensUnsaved", directive: directiveUnsaved,
		Meaning: "a new refresh token could not be stored and is only in this process's memory"},
	{Warning: RefreshTokenSavedLate, Meaning: "a refresh token that was only in memory is now stored"},
	{Warning: RefreshTokenNotRevoked, Meaning: "a refresh token that is no longer used could not be revoked at the provider"},
	{Warning: NotRevoked, Meaning: "a refresh token was forgotten and not revoked at the provider: revoking it might have ended another grant of its user, or the connection's declaration is missing, names another client, or has revocation_url at another host than token_url and refresh_url"},
	{Warning: NoRefreshToken, Meaning: "a consent returned no refresh token; where it was accepted and no former grant of its user remains, a new consent is required when the access token expires"},
	{Warning: ReportedDead, Meaning: "a caller reported that an access token without end is refused; it has no refresh token, so one report ends it for its caller, and another one for all until a new consent"},

	{Warning: ConsentRefused, Meaning: "the user or the provider refused the consent"},
	{Warning: PKCEOff, Meaning: "a consent was started without PKCE, as the connection's declaration says"},
	{Warning: SessionMismatch, Meaning: "a consent session was used by another principal, browser or connection than it belongs to"},
	{Warning: SessionGuessed, Meaning: "a consent session was ended after too many wrong confirmation codes"},

	{Warning: ResponseDeparts, Meaning: "members of the token response depart from RFC 6749; the token is used nevertheless, and response_departures names them"},
	{Warning: ScopeNotCompared, Meaning: "the granted scope has tokens that callers does not list; it was not compared, because the requested one ends in /.default"},
}
