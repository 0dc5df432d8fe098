package loopback

import (
	"crypto/rand"
	"errors"

	"github.com/tokenvend/tokenvend/scripts/internal/loopback/awsjson"
)

type object = map[string]any

// CreateTokenTable makes a table as the template does: the key, the index of
// what is due, and the time to live.
func (s *Services) CreateTokenTable(name string) error {
	text := func(attribute string) object { return object{"AttributeName": attribute, "AttributeType": "S"} }
	key := func(attribute, kind string) object { return object{"AttributeName": attribute, "KeyType": kind} }
	if err := s.DynamoDB.Call("CreateTable", object{
		"TableName": name, "BillingMode": "PAY_PER_REQUEST",
		"KeySchema":            []object{key("pk", "HASH"), key("sk", "RANGE")},
		"AttributeDefinitions": []object{text("pk"), text("sk"), text("renew_slot")},
		"GlobalSecondaryIndexes": []object{{
			"IndexName": "renew", "KeySchema": []object{key("renew_slot", "HASH")},
			"Projection": object{"ProjectionType": "KEYS_ONLY"},
		}},
	}, nil); err != nil {
		return err
	}
	return s.DynamoDB.Call("UpdateTimeToLive", object{
		"TableName": name, "TimeToLiveSpecification": object{"AttributeName": "ttl", "Enabled": true},
	}, nil)
}

// PutSecret makes a secret with that text, or gives it a new version.
func (s *Services) PutSecret(name, text string) error {
	token := rand.Text() + rand.Text()
	err := s.SecretsManager.Call("PutSecretValue", object{"SecretId": name, "SecretString": text, "ClientRequestToken": token}, nil)
	if refused := (*awsjson.Error)(nil); errors.As(err, &refused) && refused.Code == "ResourceNotFoundException" {
		return s.SecretsManager.Call("CreateSecret", object{"Name": name, "SecretString": text, "ClientRequestToken": token}, nil)
	}
	return err
}
