package oauth

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/strictjson"
)

const (
	// defaultLifetime applies when neither the server nor the connection states one.
	// It is short: a token with too long an assumed lifetime is not renewed in time.
	defaultLifetime = 300 * time.Second
	// maxLifetime is the longest life of a token that can be renewed; a longer one
	// most likely has another unit. maxUnrenewed is that of one that cannot.
	maxLifetime  = 90 * 24 * time.Hour
	maxUnrenewed = 100 * 365 * 24 * time.Hour
	// maxStated is finite, unlike a life that is not stated; in seconds.
	maxStated = 1e15
	// unusualLife is the life from which expires_in is noted as a departure: 3,599,000
	// is 41 days in seconds and an hour in milliseconds.
	unusualLife = 30 * 24 * time.Hour
)

// readLifetime sets the expiry, without a safety margin. A token that has ended when
// the answer arrives is of no use.
func (a *answer) readLifetime() *failure {
	life, failure := a.statedLife()
	if failure != nil {
		return failure
	}
	stated := !math.IsInf(life, 1)
	life = min(life, a.jwtLife(stated))
	if !stated {
		a.token.ExpiresInAssumed = !a.request.NeverExpires
		if a.request.NeverExpires && math.IsInf(life, 1) {
			return nil // no end
		}
		life = min(life, a.assumedLife())
	}
	a.token.ExpiresAt = a.requestedAt.Add(a.bounded(life))
	if !a.token.ExpiresAt.After(a.answeredAt) {
		return a.ended("is over when the answer arrives")
	}
	return nil
}

// assumedLife is that of a token of which nothing is stated, in seconds.
func (a *answer) assumedLife() float64 {
	switch {
	case a.request.NeverExpires:
		return math.Inf(1)
	case a.request.DefaultExpiresIn > 0:
		return a.request.DefaultExpiresIn.Seconds()
	}
	return defaultLifetime.Seconds()
}

// statedLife is the life that expires_in (RFC 6749 §5.1) and expires_at state, in
// seconds: the shorter one where there are both, infinite where there is none.
func (a *answer) statedLife() (seconds float64, f *failure) {
	life, failure := a.expiresIn()
	if failure != nil || a.request.Response.ExpiresAt == "" {
		return life, failure
	}
	end, failure := a.expiresAt()
	return min(life, end), failure
}

// expiresIn is the life that expires_in states. A 0 that comes with a code or a refresh
// token counts as unstated: what came with it is the only one there is.
func (a *answer) expiresIn() (seconds float64, f *failure) {
	value := member(a.root, a.request.Response.ExpiresIn, "expires_in")
	if value == nil {
		return math.Inf(1), nil
	}
	figure, ok := figureOf(value)
	switch _, isText := value.(string); {
	case !ok && isText:
		return 0, a.unusableLife("is a string that is not a number")
	case !ok:
		return 0, a.unusableLife("is " + kindOf(value))
	case figure <= -1:
		return 0, a.unusableLife("is negative")
	}
	unit := a.request.Response.ExpiresInUnit
	if at, isInstant := instantOf(figure); isInstant && unit == 0 {
		a.departs("expires_in")
		return a.until(at, "expires_in", a.request.Response.ExpiresIn)
	}
	seconds = math.Floor(figure * cmp.Or(unit, time.Second).Seconds())
	switch {
	case seconds < 1 && (a.request.isOneTime() || a.request.NeverExpires):
		a.departs("expires_in")
		return math.Inf(1), nil
	case seconds < 1:
		return 0, a.ended("is 0")
	case seconds > unusualLife.Seconds() && unit == 0:
		a.departs("expires_in")
	}
	return min(seconds, maxStated), nil
}

// expiresAt is the life until the instant that a declared member states: a figure in
// seconds or milliseconds since 1970, or a time of RFC 3339. Some servers send 0 for
// "never".
func (a *answer) expiresAt() (seconds float64, f *failure) {
	pointer := a.request.Response.ExpiresAt
	value := member(a.root, pointer, "")
	figure, ok := figureOf(value)
	text, isText := value.(string)
	switch {
	case value == nil:
		return math.Inf(1), nil
	case ok && figure == 0:
		a.departs("expires_at")
		return math.Inf(1), nil
	case ok:
		at, _ := instantOf(figure)
		return a.until(at, "expires_at", pointer)
	case !isText:
		return 0, unusable("expires_at", pointer, "is "+kindOf(value))
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, unusable("expires_at", pointer, "is a string that is not a time of RFC 3339")
	}
	return a.until(float64(at.Unix()), "expires_at", pointer)
}

// until is the life of a token that ends at an instant, in seconds since 1970.
func (a *answer) until(at float64, name, pointer string) (seconds float64, f *failure) {
	seconds = math.Floor(at - a.reference())
	if seconds < 1 {
		return 0, unusable(name, pointer, "is an instant that has passed")
	}
	return min(seconds, maxStated), nil
}

func (a *answer) unusableLife(problem string) *failure {
	return unusable("expires_in", a.request.Response.ExpiresIn, problem)
}

// ended is the failure of an answer whose token has no life left. Some servers
// repeat a token until it ends, and issue the next one a moment later.
func (a *answer) ended(problem string) *failure {
	if a.request.isOneTime() {
		return a.unusableLife(problem)
	}
	f := fail(Unavailable, "expires_in")
	f.Detail, f.Momentary = "expires_in "+problem+", again and again: the server repeats a token that ends", true
	return f
}

// reference is the instant from which the server counts, in seconds since 1970: its
// own clock where the answer shows it.
func (a *answer) reference() float64 {
	if !a.date.IsZero() {
		return float64(a.date.Unix())
	}
	return float64(a.requestedAt.UnixMilli()) / 1000
}

// bounded converts a life in seconds. 90 days bound what can be renewed; the rest
// is bounded for arithmetic only.
func (a *answer) bounded(seconds float64) time.Duration {
	limit := maxLifetime
	if a.request.GrantType == grantAuthorizationCode && a.token.RefreshToken.IsZero() {
		limit = maxUnrenewed
	}
	if seconds > limit.Seconds() {
		a.departs("expires_in")
		return limit
	}
	return time.Duration(seconds * float64(time.Second))
}

// figureOf accepts a JSON number, or a string of decimal digits, which some servers
// send. A float64 represents every instant in milliseconds up to the year 9999
// exactly, and larger figures at most as infinity.
func figureOf(value any) (float64, bool) {
	text := ""
	switch v := value.(type) {
	case json.Number:
		text = v.String()
	case string:
		if v == "" || strings.Trim(v, "0123456789") != "" {
			return 0, false
		}
		text = v
	default:
		return 0, false
	}
	figure, _ := strconv.ParseFloat(text, 64)
	return figure, true
}

// The figures from which a lifetime is an instant since 1970, in seconds and in
// milliseconds: the first would be a life of 31 years.
const (
	leastInstant      = 1e9
	leastMilliInstant = 1e11
)

// instantOf is the instant that a figure stands for, in seconds since 1970, unless
// it is too small for one.
func instantOf(figure float64) (seconds float64, ok bool) {
	if figure >= leastMilliInstant {
		return figure / 1000, true
	}
	return figure, figure >= leastInstant
}

// jwtLife bounds the life of an access token that is a signed JWT, in seconds: by
// exp − iat (RFC 7519 §4.1.4), and where the answer states no life by exp alone.
// It is not verified, and can only shorten the life: the resource server decides.
func (a *answer) jwtLife(stated bool) float64 {
	claims := jwtClaims(a.token.AccessToken.Reveal())
	exp, hasExp := claims["exp"].(json.Number)
	if !hasExp {
		return math.Inf(1)
	}
	end, _ := figureOf(exp)
	if iat, ok := claims["iat"].(json.Number); ok {
		if begin, _ := figureOf(iat); end > begin {
			return math.Floor(end - begin)
		}
	}
	if stated {
		return math.Inf(1)
	}
	return max(0, math.Floor(end-a.reference()))
}

// jwtClaims returns the claims of a signed JWT in compact form, without
// verification. It is nil when the text is not a JWT.
func jwtClaims(text string) map[string]any {
	_, rest, _ := strings.Cut(text, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok || strings.Contains(signature, ".") {
		return nil
	}
	decoded, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(payload, "="))
	if err != nil {
		return nil
	}
	root, err := strictjson.Parse(decoded)
	if err != nil {
		return nil
	}
	claims, _ := root.(map[string]any)
	return claims
}
