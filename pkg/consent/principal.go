package consent

import "strings"

const accountDigits = 12

// id is what of UniqueID decides who somebody is: a role's or a user's own id,
// which survives neither deletion nor recreation under the same name. Of a
// federated user the part before the colon is just the account, so that the
// whole counts.
func (p Principal) id() (string, error) {
	id, _, session := strings.Cut(p.UniqueID, ":")
	if session && isAccount(id) {
		id = p.UniqueID
	}
	if id == "" || p.ARN == "" {
		return "", denied("the request carries no IAM identity; sign it (AWS Signature Version 4)")
	}
	return id, nil
}

func isAccount(s string) bool { return len(s) == accountDigits && strings.Trim(s, "0123456789") == "" }
