package secrets

import (
	"errors"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
)

type secretInput struct {
	SecretID string `json:"SecretId"`
}

type getSecretValueInput struct {
	SecretID     string `json:"SecretId"`
	VersionID    string `json:"VersionId"`
	VersionStage string
}

type valueOutput struct {
	ARN, Name     string
	VersionID     string `json:"VersionId"`
	VersionStages []string
	CreatedDate   *float64
	SecretString  *string `json:",omitempty"`
	SecretBinary  []byte  `json:",omitempty"`
}

func (e *Engine) getSecretValue(in getSecretValueInput) (valueOutput, error) {
	s, err := e.findActive(in.SecretID)
	if err != nil {
		return valueOutput{}, err
	}
	if refusal := e.refused[s.name]; refusal != nil {
		return valueOutput{}, refusal
	}
	v, err := s.selected(in)
	if err != nil {
		return valueOutput{}, err
	}
	return valueOutput{
		ARN: s.arn, Name: s.name, VersionID: v.id, VersionStages: append([]string{}, v.labels...), CreatedDate: seconds(v.createdAt),
		SecretString: v.value.SecretString, SecretBinary: v.value.SecretBinary,
	}, nil
}

// selected is the version that a request names; AWSCURRENT if it names none.
func (s *secret) selected(in getSecretValueInput) (*version, error) {
	if in.VersionStage == "" && in.VersionID == "" {
		in.VersionStage = current
	}
	labeled, named := s.labeled(in.VersionStage), s.version(in.VersionID)
	switch {
	case in.VersionStage != "" && labeled == nil:
		return nil, notFound(" value for staging label: " + in.VersionStage)
	case in.VersionID != "" && named == nil:
		return nil, notFound(" value for VersionId: " + in.VersionID)
	case in.VersionID == "":
		return labeled, nil
	case in.VersionStage != "" && labeled != named:
		return nil, invalidRequest("You provided a VersionStage that is not associated to the provided VersionId.")
	}
	return named, nil
}

type describeSecretOutput struct {
	listedSecret
	VersionIDsToStages map[string][]string `json:"VersionIdsToStages,omitempty"`
}

func (e *Engine) describeSecret(in secretInput) (describeSecretOutput, error) {
	s, err := e.find(in.SecretID)
	if err != nil {
		return describeSecretOutput{}, err
	}
	out := describeSecretOutput{listedSecret: s.listed(), VersionIDsToStages: s.labels()}
	out.SecretVersionsToStages = nil
	return out, nil
}

type batchGetSecretValueInput struct {
	SecretIDList []string `json:"SecretIdList"`
}

type batchError struct {
	SecretID  string `json:"SecretId"`
	ErrorCode string
	Message   string
}

type batchGetSecretValueOutput struct {
	SecretValues []valueOutput
	Errors       []batchError
}

// batchLimit is the largest batch.
const batchLimit = 20

// batchGetSecretValue takes a list of secrets. Filters, which the service takes
// too, are not modelled.
func (e *Engine) batchGetSecretValue(in batchGetSecretValueInput) (batchGetSecretValueOutput, error) {
	out := batchGetSecretValueOutput{SecretValues: []valueOutput{}, Errors: []batchError{}}
	if len(in.SecretIDList) == 0 || len(in.SecretIDList) > batchLimit {
		return out, invalidParameter("SecretIdList has 1 to 20 secrets.")
	}
	for _, id := range in.SecretIDList {
		value, err := e.getSecretValue(getSecretValueInput{SecretID: id})
		if refusal := (*awsjson.Error)(nil); errors.As(err, &refusal) {
			out.Errors = append(out.Errors, batchError{SecretID: id, ErrorCode: refusal.Code, Message: refusal.Message})
			continue
		}
		out.SecretValues = append(out.SecretValues, value)
	}
	return out, nil
}
