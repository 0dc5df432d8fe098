package clientsecret

import (
	"fmt"
	"strings"
)

// Allowed are the secrets outside the prefix that connections may refer to.
type Allowed struct {
	// Patterns are ARNs with the wildcards of IAM, * and ?. None allows no secret.
	Patterns []string
	// Keysets are names or ARNs of secrets that are refused in any case.
	Keysets []string
}

// anySuffix stands for the hyphen and the six characters that Secrets Manager adds to
// a name in an ARN.
const anySuffix = "-??????"

// CheckID returns ErrNotAllowed if no secret that an id may name is allowed. The id is
// a name, or an ARN with or without the suffix that the service adds. The secret
// that is then found still has to pass [Allowed.CheckARN].
func (a Allowed) CheckID(id string) error {
	if a.isKeyset(id) {
		return errKeyset(id)
	}
	for _, pattern := range a.Patterns {
		if !isARN(id) {
			pattern = SecretNameOf(pattern)
		}
		if match(pattern, id) || match(pattern, id+anySuffix) {
			return nil
		}
	}
	return fmt.Errorf("%w: the stack's parameter SecretReferences does not contain %s; add its ARN there", ErrNotAllowed, SecretNameOf(id))
}

// CheckARN returns ErrNotAllowed if the secret with the ARN is not allowed.
func (a Allowed) CheckARN(arn string) error {
	if a.isKeyset(arn) {
		return errKeyset(arn)
	}
	for _, pattern := range a.Patterns {
		if match(pattern, arn) {
			return nil
		}
	}
	return fmt.Errorf("%w: the stack's parameter SecretReferences does not contain the ARN of %s; add it there", ErrNotAllowed, SecretNameOf(arn))
}

func errKeyset(id string) error {
	return fmt.Errorf("%w: %s is a keyset of the service, which the stack's parameter SecretReferences cannot allow; refer to another secret",
		ErrNotAllowed, SecretNameOf(id))
}

func (a Allowed) isKeyset(id string) bool {
	for _, keyset := range a.Keysets {
		one, other := keyset, id
		if !isARN(keyset) || !isARN(id) {
			one, other = SecretNameOf(keyset), SecretNameOf(id)
		}
		// An ARN has the suffix, or the service completes it.
		if one == other || isARN(id) && match(one+anySuffix, other) || isARN(keyset) && match(other+anySuffix, one) {
			return true
		}
	}
	return false
}

func isARN(id string) bool { return strings.HasPrefix(id, "arn:") }

// SecretNameOf is the name in an id of Secrets Manager. From an ARN it includes the
// suffix that the service adds.
func SecretNameOf(id string) string {
	const fields = 7 // arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME
	parts := strings.SplitN(id, ":", fields)
	if !isARN(id) || len(parts) < fields {
		return id
	}
	return parts[fields-1]
}

// match reports whether a pattern matches a text. In the pattern, * stands for any
// characters and ? for one; a ? in the text may be any one too.
func match(pattern, text string) bool {
	star, from := -1, 0 // the last star, and where its characters end
	p := 0
	for t := 0; t < len(text); {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || text[t] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			from++
			p, t = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
