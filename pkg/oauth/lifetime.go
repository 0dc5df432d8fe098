package oauth

import (
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
	// unusualLife is the life from which expires_in is noted as a departure: 3,599,000
	// is 41 days in seconds and an hour in milliseconds.
	unusualLife = 30 * 24 * time.Hour
)

// readLifetime sets the expiry, without a safety margin. A token that has ended when
// the answer arrives is of no use.
func (a *answer) readLifetime() *failure {
	life, stated, failure := a.statedLife()
	if failure != nil {
		return failure
	}
	if !stated {
		life = a.request.DefaultExpiresIn.Seconds()
		if life == 0 {
			life = defaultLifetime.Seconds()
		}
		a.token.ExpiresInAssumed = true
	}
	life = min(life, a.jwtLife(stated))
	a.token.ExpiresAt = a.requestedAt.Add(a.bounded(life))
	if !a.token.ExpiresAt.After(a.answeredAt) {
		return a.ended("is over when the answer arrives")
	}
	return nil
}

// statedLife is the life that expires_in (RFC 6749 §5.1) and expires_at state, in
// seconds; the shorter one where there are both.
func (a *answer) statedLife() (seconds float64, stated bool, f *failure) {
	value := member(a.root, a.request.Response.ExpiresIn, "expires_in")
	if value == nil {
		return 0, false, nil
	}
	figure, ok := figureOf(value)
	switch _, isText := value.(string); {
	case !ok && isText:
		return 0, false, a.unusableLife("is a string that is not a number")
	case !ok:
		return 0, false, a.unusableLife("is " + kindOf(value))
	case figure <= -1:
		return 0, false, a.unusableLife("is negative")
	}
	seconds = math.Floor(figure)
	if at, isInstant := instantOf(figure); isInstant {
		a.departs("expires_in")
		seconds = math.Floor(at - a.reference())
		if seconds < 1 {
			return 0, false, a.unusableLife("is an instant that has passed")
		}
		return seconds, true, nil
	}
	switch {
	case seconds < 1 && a.request.isOneTime(): // what came with it is the only one there is
		a.departs("expires_in")
		return 0, false, nil
	case seconds < 1:
		return 0, false, a.ended("is 0")
	case seconds > unusualLife.Seconds():
		a.departs("expires_in")
	}
	return seconds, true, nil
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
