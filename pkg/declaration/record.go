package declaration

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/digest"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/provider"
)

// Record is what all processes share of a connection's declaration: who may use its
// tokens, and which tokens are those of the declaration. There is one record for
// each connection, so a changed secret is one write, however many tokens there are.
// A bundle has a record of its own name too, which lists the members.
//
// The zero Record is a missing one. Instants are in UTC, to the millisecond.
type Record struct {
	// StoredVersion is the version of the stored record; zero when there is none.
	StoredVersion int64 `json:"-"`

	// Secret is the name of the secret, Version its version, CreatedAt when that was
	// created (zero is unknown), and Incarnation the hash of the secret's ARN.
	Secret      string    `json:"n"`
	Version     string    `json:"v"`
	CreatedAt   time.Time `json:"c,omitzero"`
	Incarnation string    `json:"i"`
	// References are the secrets that the declaration refers to, by name or ARN.
	References map[string]Referenced `json:"z,omitempty"`
	// At is the time of the event, or of the read, for which the record was written,
	// and Release the release that wrote it.
	At      time.Time `json:"t"`
	Release int       `json:"r"`

	// MintID identifies what tokens are requested with. A token copies it.
	MintID string `json:"m,omitempty"`
	// Also are ids that equal MintID: those of tokens without a mint id (see
	// [TokenID]), which the release before this one stores.
	Also []string `json:"a,omitempty"`
	// Former are the ids under which the client had another proof. They are accepted for
	// subjects, so that a rotated client secret does not replace all tokens at once.
	Former []string `json:"f,omitempty"`
	// Kept are the ids of tokens that are served to their end, because the server
	// refuses a new token before.
	Kept []string `json:"k,omitempty"`
	// Inputs and Proof are the hashes of the declaration; see connection.Connection.
	Inputs string `json:"h,omitempty"`
	Proof  string `json:"p,omitempty"`

	// Callers, AllowedScopes and Scope decide who may have which token; see
	// connection.Connection.
	Callers       connection.Callers `json:"s,omitempty"`
	AllowedScopes []string           `json:"l,omitempty"`
	Scope         string             `json:"q,omitempty"`
	// Host is that of the provider's token endpoint, Client what a grant is bound to,
	// and LateRefresh that the server refuses a new token before the old one ends.
	Host        string `json:"u,omitempty"`
	Client      string `json:"b,omitempty"`
	LateRefresh bool   `json:"e,omitempty"`
	// Present is how a caller puts a token into a request.
	Present provider.Present `json:"y,omitzero"`

	// Gone is why there is no valid declaration; empty while there is one. Detail says
	// more, for callers. The rest of a gone record is that of the last declaration.
	Gone   Reason `json:"g,omitempty"`
	Detail string `json:"d,omitempty"`

	// Members are the connections that a bundle declares.
	Members []string `json:"o,omitempty"`

	// NotedVersion is a version of the secret, or of one that it refers to, that is older
	// than the recorded one and was read at NotedAt: perhaps from a lagging replica,
	// perhaps because the label was moved back.
	NotedVersion string    `json:"w,omitempty"`
	NotedAt      time.Time `json:"x,omitzero"`
}

// Referenced is the version of another secret that a declaration refers to, as Version
// and its neighbours in [Record].
type Referenced struct {
	Version     string    `json:"v"`
	CreatedAt   time.Time `json:"c,omitzero"`
	Incarnation string    `json:"i"`
}

func referenced(conn connection.Connection) map[string]Referenced {
	if len(conn.References) == 0 {
		return nil
	}
	all := make(map[string]Referenced, len(conn.References))
	for _, ref := range conn.References {
		all[ref.Secret] = Referenced{Version: ref.Version, CreatedAt: millis(ref.CreatedAt), Incarnation: ref.Incarnation}
	}
	return all
}

// Reason is why a connection has no valid declaration.
type Reason string

// The reasons.
const (
	// Deleted: there is no such secret, or it declares no such connection.
	Deleted Reason = "deleted"
	// Misconfigured: the secret has no text, or the parser refuses the declaration.
	Misconfigured Reason = "misconfigured"
)

// release numbers the rules by which a record is made of a declaration. A release
// that changes them increments it, and rewrites the records of older ones.
const release = 1

// maxIDs bounds each list of ids.
const maxIDs = 8

// TokenID is the id that a record compares: the mint id of a token, or one made of
// the declaration's hash for a token that was stored without a mint id.
func TokenID(mintID, configHash string) string {
	if mintID != "" {
		return mintID
	}
	return "=" + digest.Short(configHash)
}

// Of is the record of a declaration that was just loaded, for a process that has no
// stored one.
func Of(conn connection.Connection) Record {
	r := Record{Also: []string{TokenID("", conn.ConfigHash)}}
	return r.describe(conn)
}

// describe copies what a record says of conn.
func (r Record) describe(conn connection.Connection) Record {
	r.Secret, r.Version, r.CreatedAt, r.Incarnation = conn.Name.Secret(), conn.SecretVersion, millis(conn.SecretCreatedAt), conn.SecretIncarnation
	r.References = referenced(conn)
	r.Inputs, r.Proof = conn.InputsHash, conn.ProofHash
	r.Callers, r.AllowedScopes, r.Scope = conn.Callers, conn.AllowedScopes, conn.Scope
	r.Host, r.Client, r.LateRefresh = Host(conn.TokenURL), BoundClient(conn), !conn.EarlyRefresh
	r.Present = conn.Present
	return r
}

// Names reports whether the record is that of conn's versions of the secret and of
// those that it refers to.
func (r Record) Names(conn connection.Connection) bool {
	return r.Gone == "" && r.Version == conn.SecretVersion && r.Incarnation == conn.SecretIncarnation &&
		maps.Equal(r.References, referenced(conn))
}

// Empty reports whether the connection has no record.
func (r Record) Empty() bool { return r.MintID == "" && r.Gone == "" }

// Matches reports whether the record is that of a secret's version as it is listed.
// The zero Version is a secret that does not exist.
func (r Record) Matches(v clientsecret.Version) bool {
	switch {
	case r.Version != v.VersionID, r.Release < release:
		return false
	case r.Gone == "":
		return r.Incarnation == digest.Short(v.ARN)
	}
	return v.ARN != "" || r.Gone == Deleted
}

// Issued reports whether a token is one of the declaration in force.
func (r Record) Issued(mintID, configHash, incarnation string) bool {
	id := r.tokenID(mintID, configHash)
	return r.Incarnation == incarnation && (id == r.MintID || slices.Contains(r.Also, id))
}

// Accepts reports whether a token may be served: one of the declaration in force, or a
// former one that is still good. The subject is empty for the connection's own tokens.
func (r Record) Accepts(subject, mintID, configHash, incarnation string) bool {
	id := r.tokenID(mintID, configHash)
	former := slices.Contains(r.Kept, id) || subject != "" && slices.Contains(r.Former, id)
	return r.Issued(mintID, configHash, incarnation) || r.Incarnation == incarnation && former
}

func (r Record) tokenID(mintID, configHash string) string {
	if r.MintID == "" {
		mintID = "" // the declaration was just loaded, and its hash is all that is known
	}
	return TokenID(mintID, configHash)
}

// Problem is the error for callers of a connection whose declaration is gone, and nil
// while it is not.
func (r Record) Problem(name connection.Name) error {
	switch r.Gone {
	case "":
		return nil
	case Deleted:
		return notFound(name, clientsecret.ErrNotFound)
	case Misconfigured:
	}
	return &problem.Error{Code: problem.ConnectionMisconfigured, Cause: gone{errors.New(r.Detail)}, Detail: r.Detail}
}

// Encode returns the text of a record, which is to be sealed: the hashes of a short
// secret can be guessed.
func (r Record) Encode() ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode a declaration record: %w", err)
	}
	return text, nil
}

// Decode is the inverse of Encode.
func Decode(text []byte) (Record, error) {
	var r Record
	if err := json.Unmarshal(text, &r); err != nil {
		return Record{}, errors.New("a declaration record cannot be decoded")
	}
	return r, nil
}

// Identity binds a sealed record to its connection.
func Identity(name string) []string { return []string{name, "", "", "declaration", ""} }

// Host is the host of a URL, in lower case.
func Host(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Host)
}

func millis(at time.Time) time.Time {
	if at.IsZero() {
		return time.Time{}
	}
	return time.UnixMilli(at.UnixMilli()).UTC()
}
