package awsfake

import (
	"crypto/rand"
	"errors"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
)

// PutSecret creates a secret with that text, or gives it a new version.
func (s *Services) PutSecret(name, text string) error {
	token := rand.Text() + rand.Text()
	err := s.SecretsManager.Call("PutSecretValue", object{"SecretId": name, "SecretString": text, "ClientRequestToken": token}, nil)
	if refused := (*awsjson.Error)(nil); errors.As(err, &refused) && refused.Code == "ResourceNotFoundException" {
		return s.SecretsManager.Call("CreateSecret", object{"Name": name, "SecretString": text, "ClientRequestToken": token}, nil)
	}
	return err
}
