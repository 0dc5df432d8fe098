package connection

import (
	"errors"
	"strings"
)

// principal is what of an IAM or STS ARN decides who somebody is.
type principal struct {
	partition, account string
	// kind is user, role, root or federated-user; empty with a wildcard is
	// everything of IAM in the account.
	kind string
	// name is a role's or federated user's name, or a user's path and name. A
	// role's path is not in it: the ARN of a session has none, and a role's name
	// is unique in its account without it.
	name     string
	wildcard bool
}

// matches reports whether who, a caller, is of pattern p.
func (p principal) matches(who principal) bool {
	if p.partition != who.partition || p.account != who.account {
		return false
	}
	switch {
	case p.kind == "":
		return p.wildcard && who.kind != federatedUser
	case p.kind != who.kind:
		return false
	case p.wildcard:
		return strings.HasPrefix(who.name, p.name)
	default:
		return p.name == who.name
	}
}

const (
	user          = "user"
	role          = "role"
	root          = "root"
	federatedUser = "federated-user"
	assumedRole   = "assumed-role"
)

// parseCaller reads the ARN that API Gateway reports for a caller. Of a role's
// session only the role counts: whoever assumes the role chooses the session's
// name.
func parseCaller(text string) (principal, bool) {
	a, err := splitARN(text)
	if err != nil {
		return principal{}, false
	}
	who := principal{partition: a.partition, account: a.account}
	kind, name, _ := strings.Cut(a.resource, "/")
	switch {
	case a.service == "sts" && kind == assumedRole:
		roleName, session, _ := strings.Cut(name, "/")
		who.kind, who.name = role, roleName
		return who, isPath(roleName) && isPath(session) && !strings.Contains(session, "/")
	case a.service == "sts" && kind == federatedUser:
		who.kind, who.name = federatedUser, name
		return who, isPath(name)
	case a.service == "iam" && a.resource == root:
		who.kind = root
		return who, true
	case a.service == "iam" && kind == user:
		who.kind, who.name = user, name
		return who, isPath(name)
	case a.service == "iam" && kind == role:
		who.kind, who.name = role, lastPart(name)
		return who, isPath(name)
	}
	return principal{}, false
}

// parsePattern reads a principal as callers declares it. The error is a
// predicate that says how to mend it.
func parsePattern(text string) (principal, error) {
	if text == "*" {
		return principal{}, errors.New("is every caller of every account; name an account: arn:aws:iam::<12 digits>:*")
	}
	trimmed, wildcard := strings.CutSuffix(text, "*")
	if strings.ContainsAny(trimmed, "*?") {
		return principal{}, errors.New("has a wildcard inside; only a * at the end has a meaning")
	}
	a, err := splitARN(trimmed)
	if err != nil {
		return principal{}, err
	}
	p := principal{partition: a.partition, account: a.account, wildcard: wildcard}
	if a.service == "sts" {
		return p.ofSTS(a.resource)
	}
	return p.ofIAM(a.resource)
}

func (p principal) ofSTS(resource string) (principal, error) {
	kind, name, _ := strings.Cut(resource, "/")
	switch {
	case kind == assumedRole:
		return p, errors.New("is one session of a role, whose name its user chooses; name the role: arn:aws:iam::<account>:role/<name>")
	case kind != federatedUser || p.wildcard || !isPath(name):
		return p, errors.New("is no principal that can call; of STS only a whole federated-user/<name> can be named")
	}
	p.kind, p.name = federatedUser, name
	return p, nil
}

func (p principal) ofIAM(resource string) (principal, error) {
	kind, name, named := strings.Cut(resource, "/")
	switch {
	case resource == "" && p.wildcard:
		return p, nil
	case resource == root && !p.wildcard:
		p.kind = root
		return p, nil
	case !named || kind != user && kind != role:
		return p, errors.New("names no user or role; write arn:aws:iam::<account>:role/<name>")
	case kind == role && p.wildcard && strings.Contains(name, "/"):
		return p, errors.New("has a role's path before its *, which a session's ARN does not show; write role/<beginning of the name>*")
	case !isPath(name) && !(p.wildcard && (name == "" || isPath(strings.TrimSuffix(name, "/")))):
		return p, errors.New("has an empty or malformed user or role name")
	}
	p.kind, p.name = kind, name
	if kind == role {
		p.name = lastPart(name)
	}
	return p, nil
}

type arn struct{ partition, service, account, resource string }

// splitARN reads arn:<partition>:(iam|sts)::<account>:<resource>.
func splitARN(text string) (arn, error) {
	parts := strings.SplitN(text, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "iam" && parts[2] != "sts" || parts[3] != "" {
		return arn{}, errors.New("is no IAM ARN; write arn:aws:iam::<12 digits>:role/<name>")
	}
	if !isPartition(parts[1]) {
		return arn{}, errors.New("has an unknown partition; write arn:aws:…, arn:aws-cn:… or arn:aws-us-gov:…")
	}
	if !isAccount(parts[4]) {
		return arn{}, errors.New("has no whole account id; write its 12 digits")
	}
	return arn{partition: parts[1], service: parts[2], account: parts[4], resource: parts[5]}, nil
}

func isPartition(s string) bool {
	suffix, ok := strings.CutPrefix(s, "aws")
	return ok && strings.Trim(suffix, "abcdefghijklmnopqrstuvwxyz-") == "" && (suffix == "" || len(suffix) > 1 && suffix[0] == '-')
}

func isAccount(s string) bool {
	return len(s) == 12 && strings.Trim(s, "0123456789") == ""
}

// isPath reports whether s is a name, or names between single slashes, of
// printable ASCII: what IAM lets stand in a user's path.
func isPath(s string) bool {
	for part := range strings.SplitSeq(s, "/") {
		if part == "" || strings.ContainsFunc(part, notGraphicASCII) {
			return false
		}
	}
	return true
}

func notGraphicASCII(r rune) bool { return r <= ' ' || r > '~' }

func lastPart(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
