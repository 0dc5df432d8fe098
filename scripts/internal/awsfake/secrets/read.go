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
	s, err := e.findLiving(in.SecretID)
	if err != nil {
		return valueOutput{}, err
	}
	if refusal := e.refused[s.name]; refusal != nil {
		return valueOutput{}, refusal
	}
	v, err := s.wanted(in)
	if err != nil {
		return valueOutput{}, err
	}
	return valueOutput{
		ARN: s.arn, Name: s.name, VersionID: v.id, VersionStages: append([]string{}, v.labels...), CreatedDate: seconds(v.createdAt),
		SecretString: v.value.SecretString, SecretBinary: v.value.SecretBinary,
	}, nil
}

// wanted is the version that a request names; AWSCURRENT if it names none.
func (s *secret) wanted(in getSecretValueInput) (*version, error) {
	if in.VersionStage == "" && in.VersionID == "" {
		in.VersionStage = current
	}
	labelled, named := s.labelled(in.VersionStage), s.version(in.VersionID)
	switch {
	case in.VersionStage != "" && labelled == nil:
		return nil, notFound(" value for staging label: " + in.VersionStage)
	case in.VersionID != "" && named == nil:
		return nil, notFound(" value for VersionId: " + in.VersionID)
	case in.VersionID == "":
		return labelled, nil
	case in.VersionStage != "" && labelled != named:
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
	Filters      []filter
	MaxResults   *int
	NextToken    string
}

type batchError struct {
	SecretID  string `json:"SecretId"`
	ErrorCode string
	Message   string
}

type batchGetSecretValueOutput struct {
	SecretValues []valueOutput
	Errors       []batchError
	NextToken    string `json:",omitempty"`
}

// batchLimit is the largest batch, and its size when none is asked for.
const batchLimit = 20

func (e *Engine) batchGetSecretValue(in batchGetSecretValueInput) (batchGetSecretValueOutput, error) {
	out := batchGetSecretValueOutput{SecretValues: []valueOutput{}, Errors: []batchError{}}
	ids, err := e.batch(in, &out)
	if err != nil {
		return out, err
	}
	for _, id := range ids {
		value, err := e.getSecretValue(getSecretValueInput{SecretID: id})
		if refusal := (*awsjson.Error)(nil); errors.As(err, &refusal) {
			out.Errors = append(out.Errors, batchError{SecretID: id, ErrorCode: refusal.Code, Message: refusal.Message})
			continue
		}
		out.SecretValues = append(out.SecretValues, value)
	}
	return out, nil
}

// batch are the secrets a batch asks for: by a list, or by filters and pages.
func (e *Engine) batch(in batchGetSecretValueInput, out *batchGetSecretValueOutput) ([]string, error) {
	if byList := len(in.SecretIDList) > 0; byList == (len(in.Filters) > 0) {
		return nil, invalidParameter("You must include either SecretIdList or Filters, and not both.")
	} else if byList {
		if len(in.SecretIDList) > batchLimit || in.MaxResults != nil || in.NextToken != "" {
			return nil, invalidParameter("SecretIdList has at most 20 secrets, and neither MaxResults nor NextToken go with it.")
		}
		return in.SecretIDList, nil
	}
	limit := batchLimit
	if in.MaxResults != nil {
		limit = *in.MaxResults
	}
	if limit < 1 || limit > batchLimit {
		return nil, awsjson.Invalid("1 validation error detected: MaxResults is not from 1 to %d", batchLimit)
	}
	page, next, err := e.page(search{filters: in.Filters, limit: limit, token: in.NextToken})
	if err != nil {
		return nil, err
	}
	out.NextToken = next
	var ids []string
	for _, s := range page {
		ids = append(ids, s.arn)
	}
	return ids, nil
}
