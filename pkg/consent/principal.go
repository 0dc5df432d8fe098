package consent

import "strings"

const accountDigits = 12

// id returns the part of UniqueID that identifies the principal: the id of a role
// or user, which is different after it was deleted and created again under its
// old name. For a federated user the part before the colon is only the account,
// so all of UniqueID counts.
func (p Principal) id() (string, error) {
	id, _, session := strings.Cut(p.UniqueID, ":")
	if session && isAccount(id) {
		id = p.UniqueID
	}
	if id == "" || p.ARN == "" {
		return "", accessDenied("the request has no IAM identity; sign it with AWS Signature Version 4")
	}
	return id, nil
}

func isAccount(s string) bool { return len(s) == accountDigits && strings.Trim(s, "0123456789") == "" }
