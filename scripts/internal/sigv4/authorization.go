package sigv4

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	dateFormat = "20060102T150405Z"
)

// authorization is a parsed Authorization header.
type authorization struct {
	keyID                             string
	date, region, service, terminator string
	signedHeaders                     []string
	signature                         string
}

// parseAuthorization parses the Authorization header, of which there may be one.
func parseAuthorization(h http.Header) (authorization, error) {
	values := h.Values("Authorization")
	if len(values) == 0 || values[0] == "" {
		return authorization{}, errMissingToken
	}
	if len(values) > 1 {
		return authorization{}, incomplete("Authorization header must be given once.")
	}
	parameters, known := strings.CutPrefix(values[0], algorithm+" ")
	if !known {
		return authorization{}, incomplete("Authorization header requires the algorithm '" + algorithm + "'.")
	}
	return parseParameters(parameters)
}

func parseParameters(text string) (authorization, error) {
	found, err := splitParameters(text)
	if err != nil {
		return authorization{}, err
	}
	if missing := found.missing(); missing != "" {
		return authorization{}, incomplete(missing)
	}
	scope := strings.Split(found[credential], "/")
	if len(scope) != 5 {
		return authorization{}, incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.")
	}
	a := authorization{
		keyID: scope[0], date: scope[1], region: scope[2], service: scope[3], terminator: scope[4],
		signedHeaders: strings.Split(found[signedHeaders], ";"),
		signature:     found[signature],
	}
	if !slices.Contains(a.signedHeaders, "host") {
		return authorization{}, mismatch("'Host' must be a 'SignedHeader' in the AWS Authorization.")
	}
	return a, nil
}

// parameters are the values of the header's parameters, in the order of
// parameterNames; empty for one that is absent.
type parameters [3]string

const (
	credential = iota
	signature
	signedHeaders
)

// parameterNames are in the order of AWS's message about missing ones.
var parameterNames = [...]string{credential: "Credential", signature: "Signature", signedHeaders: "SignedHeaders"}

// splitParameters parses comma-separated name=value pairs, each name once. It ignores
// unknown names.
func splitParameters(text string) (found parameters, err error) {
	var seen [len(found)]bool
	for pair := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		at := slices.Index(parameterNames[:], name)
		if at < 0 {
			continue
		}
		if seen[at] {
			return found, incomplete("Authorization header must give each parameter once.")
		}
		found[at], seen[at] = value, true
	}
	return found, nil
}

// missing returns AWS's message about missing parameters; empty if there are none.
func (p parameters) missing() string {
	var missing []string
	for at, name := range parameterNames {
		if p[at] == "" {
			missing = append(missing, "Authorization header requires '"+name+"' parameter.")
		}
	}
	return strings.Join(missing, " ")
}

// signedAt parses the X-Amz-Date header. It is always part of what is signed.
func signedAt(h http.Header) (time.Time, error) {
	values := h.Values("X-Amz-Date")
	if len(values) != 1 {
		return time.Time{}, incomplete("Authorization header requires existence of one 'X-Amz-Date' header.")
	}
	at, err := time.Parse(dateFormat, values[0])
	if err != nil {
		return time.Time{}, incomplete("Date must be in ISO-8601 'basic format', for example 20260102T150405Z.")
	}
	return at, nil
}
