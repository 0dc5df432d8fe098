package connection

import (
	"errors"
	"strings"
)

// principal is the part of an IAM or STS ARN that identifies a caller. As a
// pattern it may have a wildcard.
type principal struct {
	partition, account string
	// kind is user, role, root or federated-user. Empty with a wildcard matches
	// every IAM principal of the account.
	kind string
	// name is a role's or federated user's name, or a user's path and name. It is
	// without a role's path: the ARN of a session has none, and a role's name is
	// unique in its account.
	name     string
	wildcard bool
}

// matches reports whether the pattern p matches a caller.
func (p principal) matches(caller principal) bool {
	if p.partition != caller.partition || p.account != caller.account {
		return false
	}
	switch {
	case p.kind == "":
		return p.wildcard && caller.kind != federatedUser
	case p.kind != caller.kind:
		return false
	case p.wildcard:
		return strings.HasPrefix(caller.name, p.name)
	default:
		return p.name == caller.name
	}
}

const (
	user          = "user"
	role          = "role"
	root          = "root"
	federatedUser = "federated-user"
	assumedRole   = "assumed-role"
)

// parseCaller parses the ARN that API Gateway reports for a caller. A session of a
// role is reduced to the role: the session's name is chosen by the principal that
// assumes the role.
func parseCaller(text string) (principal, bool) {
	a, err := splitARN(text)
	if err != nil {
		return principal{}, false
	}
	caller := principal{partition: a.partition, account: a.account}
	kind, name, _ := strings.Cut(a.resource, "/")
	switch {
	case a.service == "sts" && kind == assumedRole:
		roleName, session, _ := strings.Cut(name, "/")
		caller.kind, caller.name = role, roleName
		return caller, isPath(roleName) && isPath(session) && !strings.Contains(session, "/")
	case a.service == "sts" && kind == federatedUser:
		caller.kind, caller.name = federatedUser, name
		return caller, isPath(name)
	case a.service == "iam" && a.resource == root:
		caller.kind = root
		return caller, true
	case a.service == "iam" && kind == user:
		caller.kind, caller.name = user, name
		return caller, isPath(name)
	case a.service == "iam" && kind == role:
		caller.kind, caller.name = role, lastPart(name)
		return caller, isPath(name)
	}
	return principal{}, false
}

// PrincipalID returns the part of API Gateway's identity.caller that identifies a
// principal: the unique id of a role or user, which is another one after it was
// deleted and created again under its name. The name of a role's session is
// chosen by its user and does not count. For a federated user the part before the
// colon is only the account, so all of it counts.
func PrincipalID(caller string) string {
	id, _, session := strings.Cut(caller, ":")
	if session && isAccount(id) {
		return caller
	}
	return id
}

// parsePattern parses a declared principal. Its error continues a sentence that
// names the member, and says how to fix it.
func parsePattern(text string) (principal, error) {
	if text == "*" {
		return principal{}, errors.New("matches every caller of every account; name an account: arn:aws:iam::<12 digits>:*")
	}
	trimmed, wildcard := strings.CutSuffix(text, "*")
	if strings.ContainsAny(trimmed, "*?") {
		return principal{}, errors.New("has a wildcard inside; only a * at the end is supported")
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
		return p, errors.New("is one session of a role, and its user chooses the session name; name the role: arn:aws:iam::<account>:role/<name>")
	case kind != federatedUser || p.wildcard || !isPath(name):
		return p, errors.New("is not a principal that can call; from STS only a complete federated-user/<name> is supported")
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
		return p, errors.New("has a role's path before its *, which a session's ARN does not include; write role/<beginning of the name>*")
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

// splitARN parses arn:<partition>:(iam|sts)::<account>:<resource>.
func splitARN(text string) (arn, error) {
	parts := strings.SplitN(text, ":", 6)
	if len(parts) != 6 || parts[0] != "arn" || parts[2] != "iam" && parts[2] != "sts" || parts[3] != "" {
		return arn{}, errors.New("is not an IAM ARN; write arn:aws:iam::<12 digits>:role/<name>")
	}
	if !isPartition(parts[1]) {
		return arn{}, errors.New("has an unknown partition; write arn:aws:…, arn:aws-cn:… or arn:aws-us-gov:…")
	}
	if !isAccount(parts[4]) {
		return arn{}, errors.New("has no complete account id; write its 12 digits")
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

// isPath reports whether s is a name, or names separated by single slashes, of
// printable ASCII, as IAM allows in a user's path.
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
