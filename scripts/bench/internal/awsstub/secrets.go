package awsstub

import "github.com/tokenvend/tokenvend/scripts/internal/loopback/awsjson"

// getSecretValue and secretValue are the one operation that is asked for here.
type getSecretValue struct{ SecretId, VersionStage string }

type secretValue struct{ ARN, Name, VersionId, SecretString string }

// newSecrets serves texts by id. Each has one version, and every stage is it.
func newSecrets(texts map[string]string) *awsjson.Service {
	get := func(asked getSecretValue) (secretValue, error) {
		text, ok := texts[asked.SecretId]
		if !ok {
			return secretValue{}, &awsjson.Error{Code: "ResourceNotFoundException", Message: "there is no such secret"}
		}
		return secretValue{
			ARN:  "arn:aws:secretsmanager:us-east-1:000000000000:secret:" + asked.SecretId + "-AbCdEf",
			Name: asked.SecretId, VersionId: "v1", SecretString: text,
		}, nil
	}
	return awsjson.New(awsjson.Config{
		Target: "secretsmanager", Version: "1.1", MessageName: "Message",
		Operations: map[string]awsjson.Operation{"GetSecretValue": awsjson.Operate(get)},
	})
}
