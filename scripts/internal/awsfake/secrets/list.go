package secrets

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
)

// listLimit is the largest page, and the default size.
const listLimit = 100

type filter struct {
	Key    string
	Values []string
}

type listSecretsInput struct {
	Filters                []filter
	IncludePlannedDeletion bool
	MaxResults             *int
	NextToken              string
	SortOrder              string
}

type listedSecret struct {
	ARN, Name              string
	Description            string `json:",omitempty"`
	CreatedDate            *float64
	LastChangedDate        *float64
	DeletedDate            *float64            `json:",omitempty"`
	SecretVersionsToStages map[string][]string `json:",omitempty"`
}

func (s *secret) listed() listedSecret {
	return listedSecret{
		ARN: s.arn, Name: s.name, Description: s.description,
		CreatedDate: seconds(s.createdAt), LastChangedDate: seconds(s.changedAt), DeletedDate: seconds(s.deletedAt),
		SecretVersionsToStages: s.labels(),
	}
}

type listSecretsOutput struct {
	SecretList []listedSecret
	NextToken  string `json:",omitempty"`
}

func (e *Engine) listSecrets(in listSecretsInput) (listSecretsOutput, error) {
	limit := listLimit
	if in.MaxResults != nil {
		limit = *in.MaxResults
	}
	switch {
	case limit < 1 || limit > listLimit:
		return listSecretsOutput{}, awsjson.Invalid("1 validation error detected: MaxResults is not from 1 to %d", listLimit)
	case in.SortOrder != "" && in.SortOrder != "asc" && in.SortOrder != "desc":
		return listSecretsOutput{}, awsjson.Invalid("1 validation error detected: SortOrder is neither asc nor desc")
	}
	page, next, err := e.page(search{
		filters: in.Filters, deleted: in.IncludePlannedDeletion, limit: limit, token: in.NextToken, ascending: in.SortOrder == "asc",
	})
	out := listSecretsOutput{SecretList: []listedSecret{}, NextToken: next}
	for _, s := range page {
		out.SecretList = append(out.SecretList, s.listed())
	}
	return out, err
}

// search describes a page of secrets in the order of their creation.
type search struct {
	filters   []filter
	deleted   bool
	ascending bool
	limit     int
	token     string
}

// page returns up to limit secrets, and the token of the next page.
func (e *Engine) page(q search) (page []*secret, next string, err error) {
	if err := q.check(); err != nil {
		return nil, "", err
	}
	last, err := q.position()
	if err != nil {
		return nil, "", err
	}
	_, _ = e.find("") // removes deleted secrets
	matching := slices.DeleteFunc(slices.Clone(e.secrets), func(s *secret) bool { return !q.matches(s) || !q.beyond(s, last) })
	if !q.ascending {
		slices.Reverse(matching)
	}
	if len(matching) > q.limit {
		matching = matching[:q.limit]
		next = q.tokenAfter(matching[q.limit-1])
	}
	return matching, next, nil
}

// check refuses filters that are not modelled.
func (q search) check() error {
	for _, f := range q.filters {
		if f.Key != "name" || len(f.Values) == 0 || len(f.Values) > 10 {
			return awsjson.Invalid("not supported by this fake: a filter that is not on the name, with 1 to 10 values")
		}
	}
	return nil
}

// matches reports whether every filter accepts a secret. A filter accepts names
// that begin with one of its values; a value that begins with ! accepts all others.
func (q search) matches(s *secret) bool {
	if !q.deleted && !s.deletedAt.IsZero() {
		return false
	}
	for _, f := range q.filters {
		if !slices.ContainsFunc(f.Values, s.begins) {
			return false
		}
	}
	return true
}

func (s *secret) begins(value string) bool {
	if other, negated := strings.CutPrefix(value, "!"); negated {
		return !strings.HasPrefix(s.name, other)
	}
	return strings.HasPrefix(s.name, value)
}

// beyond reports whether a secret comes after the one of that number; 0 is before
// all.
func (q search) beyond(s *secret, number int) bool {
	return number == 0 || (s.number > number) == q.ascending && s.number != number
}

// tokenAfter names the end of a page. It is valid for the same search only, and
// stays valid when secrets are created and deleted.
func (q search) tokenAfter(s *secret) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(s.number) + " " + q.digest()))
}

func (q search) digest() string {
	text, err := json.Marshal([]any{q.filters, q.deleted, q.ascending})
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// position reads a token; the first page has none.
func (q search) position() (int, error) {
	if q.token == "" {
		return 0, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(q.token)
	number, digest, _ := strings.Cut(string(text), " ")
	n, notNumber := strconv.Atoi(number)
	if err != nil || notNumber != nil || n < 1 || digest != q.digest() {
		return 0, &awsjson.Error{Code: "InvalidNextTokenException", Message: "The NextToken value is invalid."}
	}
	return n, nil
}
