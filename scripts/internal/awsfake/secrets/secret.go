package secrets

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
)

// The labels that the service itself moves.
const (
	current  = "AWSCURRENT"
	previous = "AWSPREVIOUS"
)

// maxValue is the largest value, in bytes.
const maxValue = 64 << 10

// secret is one secret.
type secret struct {
	name, arn   string
	description string
	number      int // in the order of creation
	createdAt   time.Time
	changedAt   time.Time
	deletedAt   time.Time // when its deletion was requested; zero when it was not
	endsAt      time.Time
	versions    []*version // oldest first
}

// version is one version of a secret.
type version struct {
	id        string
	value     value
	labels    []string
	createdAt time.Time
}

// value is a version's: a string or bytes.
type value struct {
	SecretString *string
	SecretBinary []byte
}

func (v value) empty() bool { return v.SecretString == nil && v.SecretBinary == nil }

func (v value) equal(w value) bool {
	if v.SecretString == nil || w.SecretString == nil {
		return v.SecretString == w.SecretString && slices.Equal(v.SecretBinary, w.SecretBinary)
	}
	return *v.SecretString == *w.SecretString
}

func (v value) check() error {
	switch size := len(v.SecretBinary); {
	case v.SecretString != nil && v.SecretBinary != nil:
		return invalidParameter("You can't specify both a binary secret value and a string secret value in the same secret.")
	case v.SecretString != nil && (len(*v.SecretString) == 0 || len(*v.SecretString) > maxValue),
		v.SecretBinary != nil && (size == 0 || size > maxValue):
		return awsjson.Invalid("1 validation error detected: a secret value has 1 to %d bytes", maxValue)
	}
	return nil
}

var (
	secretName = regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]{1,512}$`)
	tokenForm  = regexp.MustCompile(`^[A-Za-z0-9-]{32,64}$`)
	labelForm  = regexp.MustCompile(`^[\x21-\x7e]{1,256}$`)
)

func invalidParameter(message string) *awsjson.Error {
	return &awsjson.Error{Code: "InvalidParameterException", Message: message}
}

func invalidRequest(message string) *awsjson.Error {
	return &awsjson.Error{Code: "InvalidRequestException", Message: message}
}

func notFound(what string) *awsjson.Error {
	return &awsjson.Error{Code: "ResourceNotFoundException", Message: "Secrets Manager can't find the specified secret" + what + "."}
}

// newARN ends in six random characters, as every ARN of a secret does.
func (e *Engine) newARN(name string) (string, error) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	ending := make([]byte, 6)
	if _, err := io.ReadFull(e.random, ending); err != nil {
		return "", fmt.Errorf("random ending of an ARN: %w", err)
	}
	for i, b := range ending {
		ending[i] = alphabet[b%byte(len(alphabet))]
	}
	return "arn:aws:secretsmanager:us-east-1:000000000000:secret:" + name + "-" + string(ending), nil
}

// find finds a secret by its name, its ARN, or its ARN without the ending. It
// removes secrets whose recovery window has ended.
func (e *Engine) find(id string) (*secret, error) {
	now := e.now()
	e.secrets = slices.DeleteFunc(e.secrets, func(s *secret) bool { return !s.deletedAt.IsZero() && !now.Before(s.endsAt) })
	for _, s := range e.secrets {
		if id == s.name || id == s.arn || id == s.arn[:strings.LastIndexByte(s.arn, '-')] {
			return s, nil
		}
	}
	return nil, notFound("")
}

// findActive is find for operations that a secret marked for deletion refuses.
func (e *Engine) findActive(id string) (*secret, error) {
	s, err := e.find(id)
	if err == nil && !s.deletedAt.IsZero() {
		return nil, invalidRequest("You can't perform this operation on the secret because it was marked for deletion.")
	}
	return s, err
}

func (s *secret) version(id string) *version {
	for _, v := range s.versions {
		if v.id == id {
			return v
		}
	}
	return nil
}

// labeled is the version with that label; nil when none has it.
func (s *secret) labeled(label string) *version {
	for _, v := range s.versions {
		if slices.Contains(v.labels, label) {
			return v
		}
	}
	return nil
}

// labels are the labels of each version that has any.
func (s *secret) labels() map[string][]string {
	labels := map[string][]string{}
	for _, v := range s.versions {
		if len(v.labels) > 0 {
			labels[v.id] = v.labels
		}
	}
	return labels
}

// move moves a label to a version. A replaced current version becomes the previous
// one.
func (s *secret) move(label string, to *version) {
	from := s.labeled(label)
	if from == to {
		return
	}
	if from != nil {
		from.labels = slices.DeleteFunc(slices.Clone(from.labels), func(l string) bool { return l == label })
	}
	to.labels = append(slices.Clone(to.labels), label)
	if label == current && from != nil {
		s.move(previous, from)
	}
}

// seconds is an instant on the wire.
func seconds(at time.Time) *float64 {
	if at.IsZero() {
		return nil
	}
	s := float64(at.UnixMilli()) / 1000
	return &s
}
