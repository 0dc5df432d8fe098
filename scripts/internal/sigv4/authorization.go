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

// authorization is an Authorization header taken apart.
type authorization struct {
	keyID                             string
	date, region, service, terminator string
	signedHeaders                     []string
	signature                         string
}

// parseAuthorization reads the one Authorization header there may be.
func parseAuthorization(h http.Header) (authorization, error) {
	values := h.Values("Authorization")
	if len(values) == 0 || values[0] == "" {
		return authorization{}, errMissingToken
	}
	if len(values) > 1 {
		return authorization{}, incomplete("Authorization header must be given once.")
	}
	parameters, ours := strings.CutPrefix(values[0], algorithm+" ")
	if !ours {
		return authorization{}, incomplete("Authorization header requires the algorithm '" + algorithm + "'.")
	}
	return parseParameters(parameters)
}

func parseParameters(text string) (authorization, error) {
	found, err := splitParameters(text)
	if err != nil {
		return authorization{}, err
	}
	if missing := missingParameters(found); missing != "" {
		return authorization{}, incomplete(missing)
	}
	scope := strings.Split(found["Credential"], "/")
	if len(scope) != 5 {
		return authorization{}, incomplete("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.")
	}
	a := authorization{
		keyID: scope[0], date: scope[1], region: scope[2], service: scope[3], terminator: scope[4],
		signedHeaders: strings.Split(found["SignedHeaders"], ";"),
		signature:     found["Signature"],
	}
	if !slices.Contains(a.signedHeaders, "host") {
		return authorization{}, mismatch("'Host' must be a 'SignedHeader' in the AWS Authorization.")
	}
	return a, nil
}

// splitParameters reads name=value pairs between commas, each name once.
func splitParameters(text string) (map[string]string, error) {
	found := make(map[string]string, 3)
	for pair := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if _, twice := found[name]; twice {
			return nil, incomplete("Authorization header must give each parameter once.")
		}
		found[name] = value
	}
	return found, nil
}

// missingParameters words what is absent as AWS does, or is empty.
func missingParameters(found map[string]string) string {
	var missing []string
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if found[name] == "" {
			missing = append(missing, "Authorization header requires '"+name+"' parameter.")
		}
	}
	return strings.Join(missing, " ")
}

// signedAt reads the one X-Amz-Date. It is part of what is signed whether or
// not the signature names it.
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
