package declaration

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
)

// confirmAfter is how far apart two reads must be that return the same older version
// of a secret before it counts: longer than a replica lags.
const confirmAfter = 30 * time.Second

// maxDetail bounds the text of a gone record, in bytes.
const maxDetail = 512

// Event reports that a label was moved to a version of a secret, or of one that it
// refers to.
type Event struct {
	// Version is the secret's, and At when the label was moved.
	Version string
	At      time.Time
}

// Observation is one read of a secret, past every cache.
type Observation struct {
	// Entry is what the secret declares under the connection's name. Its error says
	// that there is no valid declaration, and none other is possible.
	Entry connection.Entry
	// Secret is the version that was read; zero when there is no such secret.
	Secret clientsecret.Secret
	// At is when the read began.
	At time.Time
	// Event is what caused the read; zero is none.
	Event Event
	// MayEnd: the record may become gone. A single caller who finds no secret gets an
	// error, and changes nothing.
	MayEnd bool
	// MintID is random, for a record that needs a new one.
	MintID string
}

// Next returns the record after an observation, and whether it has to be written.
//
// A secret is read from replicas that may lag. A version that is older than the
// recorded one therefore replaces it only if an event that is later than the record
// names it, or a second read returns it confirmAfter the first, which is noted in the
// record.
func (r Record) Next(o Observation) (next Record, write bool) {
	o.At = millis(o.At)
	if errors.As(o.Entry.Err, new(connection.Unread)) {
		return r, false // nothing is known of the declaration
	}
	if o.Entry.Err != nil && (!o.MayEnd || r.MintID == "") {
		return r, false // nothing that was declared before
	}
	if !r.believes(o) {
		return r.note(o)
	}
	if o.Entry.Err != nil {
		next = r.end(o)
	} else {
		next = r.declare(o)
	}
	next.NotedVersion, next.NotedAt = "", time.Time{}
	if next.same(r) {
		return r, false
	}
	next.At, next.Release = o.At, release
	if o.names(o.Event.Version) && !o.Event.At.IsZero() {
		next.At = millis(o.Event.At)
	}
	return next, true
}

// names reports whether a version was read: of the secret, or of one that it refers to.
func (o Observation) names(version string) bool {
	return version == o.Secret.VersionID || slices.ContainsFunc(o.Entry.Connection.References, func(ref connection.Reference) bool {
		return ref.Version == version
	})
}

// believes reports whether o is newer than the record, or confirmed.
func (r Record) believes(o Observation) bool {
	switch version := r.olderVersion(o); {
	case version == "":
		return true
	case o.Event.Version == version && o.Event.At.After(r.At):
		return true
	default:
		return r.NotedVersion == version && o.At.Sub(r.NotedAt) >= confirmAfter
	}
}

// olderVersion names the versions in o that are older than the recorded ones.
func (r Record) olderVersion(o Observation) string {
	var versions []string
	add := func(was Referenced, version string, createdAt time.Time) {
		known := version != "" && !createdAt.IsZero() && !was.CreatedAt.IsZero()
		if known && version != was.Version && millis(createdAt).Before(was.CreatedAt) && !slices.Contains(versions, version) {
			versions = append(versions, version)
		}
	}
	add(Referenced{Version: r.Version, CreatedAt: r.CreatedAt}, o.Secret.VersionID, o.Secret.CreatedAt)
	for _, ref := range o.Entry.Connection.References {
		add(r.References[ref.Secret], ref.Version, ref.CreatedAt)
	}
	return strings.Join(versions, "+")
}

// note records that an older version was read.
func (r Record) note(o Observation) (Record, bool) {
	version := r.olderVersion(o)
	if r.NotedVersion == version && !r.NotedAt.After(o.At) {
		return r, false
	}
	r.NotedVersion, r.NotedAt = version, o.At
	return r, true
}

// same reports whether r says what was recorded before. A record of an older release is
// made again.
func (r Record) same(before Record) bool {
	return r.Version == before.Version && maps.Equal(r.References, before.References) && r.Incarnation == before.Incarnation &&
		r.Gone == before.Gone && r.Detail == before.Detail && r.Present == before.Present &&
		before.NotedVersion == "" && before.Release >= release && slices.Equal(r.Members, before.Members)
}

// Bundle is Next for the record of a bundle's own name, which lists its members.
// Without them the bundle cannot be read (o.Entry.Err), and the list stays.
func (r Record) Bundle(o Observation, members []string) (next Record, write bool) {
	o.At = millis(o.At)
	if !r.believes(o) {
		return r.note(o)
	}
	if o.Entry.Err == nil {
		o.Entry.Err = connection.ErrNoConnection // a vend has to name a member
	} else {
		members = r.Members
	}
	next = r.end(o)
	next.Members, next.Secret = members, o.Secret.Name
	next.NotedVersion, next.NotedAt = "", time.Time{}
	if len(members) == 0 && r.StoredVersion == 0 || next.same(r) {
		return r, false
	}
	next.At, next.Release = o.At, release
	return next, true
}

// end is the record of a declaration that is gone. It keeps hashes, mint id and
// callers, for its return and for the deletion of what is stored.
func (r Record) end(o Observation) Record {
	r.Gone, r.Detail, r.Members = Misconfigured, o.Entry.Err.Error(), nil
	if errors.Is(o.Entry.Err, clientsecret.ErrNotFound) || errors.Is(o.Entry.Err, connection.ErrNoConnection) {
		r.Gone, r.Detail = Deleted, ""
	}
	if len(r.Detail) > maxDetail {
		r.Detail = r.Detail[:maxDetail]
	}
	if r.Version = o.Secret.VersionID; r.Version != "" {
		r.CreatedAt = millis(o.Secret.CreatedAt)
	}
	return r
}

// declare is the record of a valid declaration.
func (r Record) declare(o Observation) Record {
	conn := o.Entry.Connection
	next := r.describe(conn)
	next.Gone, next.Detail, next.Members = "", "", nil
	alias := TokenID("", conn.ConfigHash)
	switch {
	case r.MintID != "" && r.Incarnation == conn.SecretIncarnation && r.sameInputs(next):
		next.Also = withID(r.Also, alias)
		return next
	case r.MintID == "" || r.Incarnation != conn.SecretIncarnation:
		next.Former, next.Kept = nil, nil
	default:
		next.Former, next.Kept = r.replaced(next)
	}
	next.MintID, next.Also = o.MintID, []string{alias}
	return next
}

// sameInputs reports whether next requests the same tokens. Of one version of a secret
// they are the same, even if a release computes the hashes in another way.
func (r Record) sameInputs(next Record) bool {
	return r.Inputs == next.Inputs && r.Proof == next.Proof || r.Version == next.Version && r.Release < release
}

// replaced are the ids of r whose tokens next still accepts.
func (r Record) replaced(next Record) (former, kept []string) {
	own := append(slices.Clone(r.Also), r.MintID)
	if r.Inputs == next.Inputs {
		former = withID(r.Former, own...)
	}
	if r.LateRefresh && next.LateRefresh && r.Client == next.Client {
		kept = withID(r.Kept, own...)
	}
	return former, kept
}

// withID returns ids with more at the end, and the oldest removed.
func withID(ids []string, more ...string) []string {
	all := slices.Clone(ids)
	for _, id := range more {
		if !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	return all[max(0, len(all)-maxIDs):]
}
