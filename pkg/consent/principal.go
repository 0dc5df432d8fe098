package consent

import "github.com/tokenvend/tokenvend/pkg/connection"

// id returns the part of UniqueID that identifies the principal.
func (p Principal) id() (string, error) {
	id := connection.PrincipalID(p.UniqueID)
	if id == "" || p.ARN == "" {
		return "", accessDenied("the request has no IAM identity; sign it with AWS Signature Version 4")
	}
	return id, nil
}
