package directory

import (
	"encoding/base64"
	"encoding/json"
	"slices"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/problem"
)

// position is where a listing continues: in the pages of secrets that begin at
// Cursor, with the secret named Secret, and of its connections with those after the
// name After. A bundle can be larger than a page, and it can change between two pages.
// Secrets is how many secrets were before it.
type position struct {
	Cursor  string `json:"c,omitempty"`
	Secrets int    `json:"n,omitempty"`
	Secret  string `json:"k,omitempty"`
	After   string `json:"a,omitempty"`
	end     bool
}

// in returns where a page of secrets continues: the index of a secret, and the name
// after which its connections are listed. If the secret no longer exists, secrets may
// have moved to places that were listed before, so the page is listed again.
func (p position) in(page []clientsecret.Entry) (first int, after string) {
	switch i := slices.IndexFunc(page, func(s clientsecret.Entry) bool { return s.Name == p.Secret }); {
	case i >= 0:
		return i, p.After
	case p.Secret != "" && p.Secrets >= len(page):
		return len(page), "" // a smaller page than the one that was cut ends before the cut
	}
	return 0, ""
}

func parsePosition(next string) (position, error) {
	var at position
	if next == "" {
		return at, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(next)
	if err == nil {
		err = json.Unmarshal(text, &at)
	}
	if err != nil || at.Secrets < 0 || at == (position{}) {
		return position{}, badCursor(err)
	}
	return at, nil
}

// String is the cursor for the caller; empty at the end.
func (p position) String() string {
	if p.end {
		return ""
	}
	text, err := json.Marshal(p)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func badCursor(err error) error {
	return &problem.Error{Code: problem.InvalidRequest, Cause: err,
		Detail: "next is not a cursor that a listing returned; start again without it"}
}

// beforeFirst is a name that no subject has. It is the cursor of the page that
// begins with the first subject.
const beforeFirst = "-"

// A cursor of subjects is the last name of the page before.
func encodeCursor(name string) string { return base64.RawURLEncoding.EncodeToString([]byte(name)) }

func decodeCursor(next string) (string, error) {
	name, err := base64.RawURLEncoding.DecodeString(next)
	if err != nil {
		return "", badCursor(err)
	}
	if string(name) == beforeFirst {
		return "", nil
	}
	if _, err := connection.ParseSubject(string(name)); err != nil && next != "" {
		return "", badCursor(err)
	}
	return string(name), nil
}
