package egress

import (
	"errors"
	"slices"
	"strings"
)

// privateSuffixes end names that no public authorization server has: special-use
// names (RFC 6761, 6762, 8375), ICANN's .internal, and names that home and company
// networks commonly use.
var privateSuffixes = []string{
	"localhost", "local", "localdomain", "internal", "home.arpa",
	"intranet", "private", "corp", "home", "lan",
}

// checkHostName reports what is wrong with a host that is not an IP address in its
// usual form. It must be a host name (RFC 1123) and not a number: resolvers treat
// 2130706433, 0177.1 and 0x7f.1 as addresses.
func checkHostName(host string) error {
	if strings.HasSuffix(host, ".") {
		return errors.New("has a host that ends with a dot; remove the dot")
	}
	labels := strings.Split(host, ".")
	if isNumeric(labels[len(labels)-1]) {
		return errors.New("contains an IP address in an unusual form; use the server's public name")
	}
	if len(host) > 253 || slices.ContainsFunc(labels, notLabel) {
		return errors.New("has a host that is not a host name; use letters, digits and inner hyphens between dots")
	}
	return nil
}

// isNumeric reports whether a last label makes a resolver parse the host as an
// IPv4 address: decimal or octal digits, or hexadecimal after 0x.
func isNumeric(label string) bool {
	hex, isHex := strings.CutPrefix(strings.ToLower(label), "0x")
	if isHex {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return label != "" && strings.Trim(label, "0123456789") == ""
}

func notLabel(label string) bool {
	return label == "" || len(label) > 63 ||
		strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") ||
		strings.ContainsFunc(label, notLabelRune)
}

func notLabelRune(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
}

func checkPublicName(host string) error {
	if isLocalhost(host) {
		return errors.New("has the host localhost; use the server's public name, or add a loopback network to PROVIDER_ALLOW_CIDRS")
	}
	if !strings.Contains(host, ".") || slices.ContainsFunc(privateSuffixes, suffixOf(host)) {
		return errors.New("has a host that is not public; use the server's public name, or add its network to PROVIDER_ALLOW_CIDRS")
	}
	return nil
}

// isLocalhost reports whether the host is localhost or ends with it (RFC 6761 §6.3).
func isLocalhost(host string) bool { return suffixOf(host)("localhost") }

func suffixOf(host string) func(suffix string) bool {
	host = "." + strings.ToLower(host)
	return func(suffix string) bool { return strings.HasSuffix(host, "."+suffix) }
}
