package secrets

import (
	"slices"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
)

type createSecretInput struct {
	Name               string
	ClientRequestToken string
	Description        string
	value
}

type versionOutput struct {
	ARN, Name     string
	VersionID     string   `json:"VersionId,omitempty"`
	VersionStages []string `json:",omitempty"`
}

func (e *Engine) createSecret(in createSecretInput) (versionOutput, error) {
	if !secretName.MatchString(in.Name) {
		return versionOutput{}, awsjson.Invalid("Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
	}
	if err := in.check(); err != nil {
		return versionOutput{}, err
	}
	if s, err := e.find(in.Name); err == nil {
		return recreated(s, in)
	}
	arn, err := e.newARN(in.Name)
	if err != nil {
		return versionOutput{}, err
	}
	e.made++
	s := &secret{name: in.Name, arn: arn, description: in.Description, number: e.made, createdAt: e.now(), changedAt: e.now()}
	out := versionOutput{ARN: arn, Name: in.Name}
	if !in.empty() {
		if out, err = e.addVersion(s, newVersion{in.ClientRequestToken, in.value, nil}); err != nil {
			return versionOutput{}, err
		}
	}
	e.secrets = append(e.secrets, s)
	out.VersionStages = nil
	return out, nil
}

// recreated answers a request to create a secret that exists. The same request
// again is accepted: its answer was lost.
func recreated(s *secret, in createSecretInput) (versionOutput, error) {
	if !s.deletedAt.IsZero() {
		return versionOutput{}, invalidRequest("You can't create this secret because a secret with this name is already scheduled for deletion.")
	}
	if v := s.version(in.ClientRequestToken); v != nil && v.value.equal(in.value) {
		return versionOutput{ARN: s.arn, Name: s.name, VersionID: v.id}, nil
	}
	return versionOutput{}, &awsjson.Error{Code: "ResourceExistsException", Message: "The operation failed because the secret already exists."}
}

type newVersion struct {
	id     string
	value  value
	labels []string
}

// addVersion gives a secret another value. The same request again changes nothing.
func (e *Engine) addVersion(s *secret, n newVersion) (versionOutput, error) {
	if !tokenForm.MatchString(n.id) {
		return versionOutput{}, invalidParameter("ClientRequestToken must have 32 to 64 letters, digits and hyphens")
	}
	v := s.version(n.id)
	if v != nil && !v.value.equal(n.value) {
		return versionOutput{}, &awsjson.Error{Code: "ResourceExistsException", Message: "You can't use ClientRequestToken because that value is already in use for a version of this secret with another value."}
	}
	if v == nil {
		v = &version{id: n.id, value: n.value, createdAt: e.now()}
		if len(n.labels) == 0 || len(s.versions) == 0 && !slices.Contains(n.labels, current) {
			n.labels = append(slices.Clone(n.labels), current)
		}
		s.versions = append(s.versions, v)
		s.changedAt = e.now()
		for _, label := range n.labels {
			s.move(label, v)
		}
	}
	return versionOutput{ARN: s.arn, Name: s.name, VersionID: v.id, VersionStages: v.labels}, nil
}

type putSecretValueInput struct {
	SecretID           string `json:"SecretId"`
	ClientRequestToken string
	VersionStages      []string
	value
}

func (e *Engine) putSecretValue(in putSecretValueInput) (versionOutput, error) {
	if in.empty() {
		return versionOutput{}, invalidRequest("You must provide either SecretString or SecretBinary.")
	}
	if err := in.check(); err != nil {
		return versionOutput{}, err
	}
	for _, label := range in.VersionStages {
		if !labelForm.MatchString(label) {
			return versionOutput{}, awsjson.Invalid("1 validation error detected: a staging label has 1 to 256 characters")
		}
	}
	s, err := e.findActive(in.SecretID)
	if err != nil {
		return versionOutput{}, err
	}
	return e.addVersion(s, newVersion{in.ClientRequestToken, in.value, in.VersionStages})
}

type updateSecretVersionStageInput struct {
	SecretID            string `json:"SecretId"`
	VersionStage        string
	RemoveFromVersionID string `json:"RemoveFromVersionId"`
	MoveToVersionID     string `json:"MoveToVersionId"`
}

func (e *Engine) updateSecretVersionStage(in updateSecretVersionStageInput) (versionOutput, error) {
	s, err := e.findActive(in.SecretID)
	if err != nil {
		return versionOutput{}, err
	}
	if !labelForm.MatchString(in.VersionStage) {
		return versionOutput{}, awsjson.Invalid("1 validation error detected: a staging label has 1 to 256 characters")
	}
	from, to := s.labeled(in.VersionStage), s.version(in.MoveToVersionID)
	switch {
	case in.MoveToVersionID != "" && to == nil:
		return versionOutput{}, notFound(" value for VersionId: " + in.MoveToVersionID)
	case in.RemoveFromVersionID != "" && (from == nil || from.id != in.RemoveFromVersionID):
		return versionOutput{}, invalidParameter("The staging label is not attached to the version in RemoveFromVersionId.")
	case to == nil && (in.RemoveFromVersionID == "" || in.VersionStage == current):
		return versionOutput{}, invalidParameter("You must move AWSCURRENT to a version, and any other label to one or from one.")
	case to != nil && from != nil && from != to && in.RemoveFromVersionID == "":
		return versionOutput{}, invalidParameter("The parameter RemoveFromVersionId can't be empty. The staging label is currently attached to a version, so you must explicitly reference that version in RemoveFromVersionId.")
	}
	s.changedAt = e.now()
	if to != nil {
		s.move(in.VersionStage, to)
	} else {
		from.labels = slices.DeleteFunc(slices.Clone(from.labels), func(label string) bool { return label == in.VersionStage })
	}
	return versionOutput{ARN: s.arn, Name: s.name}, nil
}

type deleteSecretInput struct {
	SecretID                   string `json:"SecretId"`
	RecoveryWindowInDays       *int
	ForceDeleteWithoutRecovery bool
}

type deleteSecretOutput struct {
	ARN, Name    string
	DeletionDate *float64
}

func (e *Engine) deleteSecret(in deleteSecretInput) (deleteSecretOutput, error) {
	days := 30
	switch {
	case in.RecoveryWindowInDays != nil && in.ForceDeleteWithoutRecovery:
		return deleteSecretOutput{}, invalidParameter("You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
	case in.ForceDeleteWithoutRecovery:
		days = 0
	case in.RecoveryWindowInDays != nil:
		days = *in.RecoveryWindowInDays
		if days < 7 || days > 30 {
			return deleteSecretOutput{}, invalidParameter("RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
		}
	}
	s, err := e.find(in.SecretID)
	if err != nil && in.ForceDeleteWithoutRecovery {
		return deleteSecretOutput{ARN: in.SecretID, Name: in.SecretID, DeletionDate: seconds(e.now())}, nil
	}
	if err == nil && !in.ForceDeleteWithoutRecovery {
		s, err = e.findActive(in.SecretID)
	}
	if err != nil {
		return deleteSecretOutput{}, err
	}
	s.deletedAt, s.endsAt = e.now(), e.now().Add(time.Duration(days)*24*time.Hour)
	return deleteSecretOutput{ARN: s.arn, Name: s.name, DeletionDate: seconds(s.endsAt)}, nil
}

func (e *Engine) restoreSecret(in secretInput) (versionOutput, error) {
	s, err := e.find(in.SecretID)
	if err != nil {
		return versionOutput{}, err
	}
	s.deletedAt, s.endsAt = time.Time{}, time.Time{}
	return versionOutput{ARN: s.arn, Name: s.name}, nil
}
