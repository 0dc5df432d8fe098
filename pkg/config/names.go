package config

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"unicode"
)

const (
	defaultSecretPrefix     = "tokenvend/"
	defaultMetricsNamespace = "tokenvend"
	// maxSecretName is the longest name in Secrets Manager, and maxConnectionName the
	// longest that follows the prefix.
	maxSecretName     = 512
	maxConnectionName = 64
	// separators are the characters with which a prefix may end.
	separators = "/_+=.@-"
)

var errNotSet = errors.New("is not set")

func parseTokenTable(value string, _ bool, c *Config) error {
	if value == "" {
		return fmt.Errorf("%w; set it to the name of the DynamoDB table", errNotSet)
	}
	if len(value) < 3 || len(value) > 255 {
		return errors.New("is not a table name, which has 3 to 255 characters")
	}
	if err := checkCharacters(value, "_.-"); err != nil {
		return fmt.Errorf("%w; use the table's name, not its ARN", err)
	}
	c.TokenTable = value
	return nil
}

func parseSecretPrefix(value string, set bool, c *Config) error {
	if !set {
		value = defaultSecretPrefix
	}
	if value == "" {
		return fmt.Errorf("is empty, which would make every secret of the account a connection; unset it for %s", defaultSecretPrefix)
	}
	if len(value) > maxSecretName-maxConnectionName {
		return fmt.Errorf("is longer than %d characters", maxSecretName-maxConnectionName)
	}
	if err := checkCharacters(value, separators); err != nil {
		return err
	}
	// Without a separator the prefix "app" would also match "apple/key".
	if !strings.ContainsRune(separators, rune(value[len(value)-1])) {
		return errors.New("must end with one of " + separators + "; append /")
	}
	c.SecretPrefix = value
	return nil
}

func parseSealingSecretID(value string, _ bool, c *Config) error {
	if value == "" {
		return fmt.Errorf("%w; set it to the name or ARN of the secret with the sealing keyset", errNotSet)
	}
	if len(value) > 2048 {
		return errors.New("is longer than 2048 characters")
	}
	name, err := secretName(value)
	if err != nil {
		return err
	}
	if err := checkCharacters(name, separators); err != nil {
		return err
	}
	c.SealingSecretID = value
	return nil
}

// parseMetricsNamespace accepts fewer characters than CloudWatch: the namespace is
// written into JSON without escaping.
func parseMetricsNamespace(value string, _ bool, c *Config) error {
	value = cmp.Or(value, defaultMetricsNamespace)
	if len(value) > 255 {
		return errors.New("is longer than 255 characters")
	}
	if strings.HasPrefix(value, "AWS/") {
		return errors.New("begins with AWS/, which CloudWatch reserves; write one like tokenvend/STACK")
	}
	if err := checkCharacters(value, "/._-#"); err != nil {
		return err
	}
	c.MetricsNamespace = value
	return nil
}

// parseSecretReferences accepts wildcards in the name only, so that the pattern says
// whose secrets they are.
func parseSecretReferences(value string, _ bool, c *Config) error {
	words := strings.FieldsFunc(value, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	var errs []error
	for i, word := range words {
		if err := checkReference(word); err != nil {
			errs = append(errs, fmt.Errorf("ARN %d %w", i+1, err))
		}
	}
	if len(words) > 0 {
		c.SecretReferences = words
	}
	return joined(errs)
}

func checkReference(pattern string) error {
	name, err := secretName(pattern)
	owner := strings.TrimSuffix(pattern, name)
	switch {
	case err != nil:
		return err
	case owner == "":
		return errors.New("is a name; write arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME-??????")
	case strings.ContainsAny(owner, "*?"):
		return errors.New("has a wildcard before the name; write region and account, and list several ARNs if need be")
	case strings.Trim(name, "*?") == "":
		return errors.New("contains every secret, which every editor of connections could then read; list those that you need")
	}
	return checkCharacters(name, separators+"*?")
}

// secretName returns the name in a secret's id. From an ARN it includes the suffix
// that the service adds.
func secretName(id string) (string, error) {
	if !strings.HasPrefix(id, "arn:") {
		return id, nil
	}
	// arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME
	parts := strings.SplitN(id, ":", 7)
	if len(parts) < 7 || parts[2] != "secretsmanager" || parts[5] != "secret" || parts[6] == "" {
		return "", errors.New("is not the ARN of a secret; write arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME")
	}
	return parts[6], nil
}

// under reports whether a valid secret id is below a prefix.
func under(id, prefix string) bool {
	name, err := secretName(id)
	return err == nil && strings.HasPrefix(name, prefix)
}

// checkCharacters accepts ASCII letters and digits and the characters in also.
func checkCharacters(value, also string) error {
	for i, r := range value {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && !strings.ContainsRune(also, r) {
			return fmt.Errorf("character %d is not allowed; use letters, digits and %s", i+1, also)
		}
	}
	return nil
}
