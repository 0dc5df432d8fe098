package renewal

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/digest"
	"github.com/tokenvend/tokenvend/pkg/vending"
	"github.com/tokenvend/tokenvend/pkg/wheel"
)

const (
	// comparedPerTick secrets are compared in each tick. If there are more, a
	// complete comparison takes comparisonTicks ticks.
	comparedPerTick = 1000
	comparisonTicks = 15
	// maxReconciling bounds the secrets reconciled concurrently.
	maxReconciling = 16
)

// sweep compares the listed secrets with the declaration records themselves, so that a
// record that was deleted or replaced in the table is corrected too, and a record
// whose secret is gone says so. Only its progress is in this process.
type sweep struct {
	core     Core
	index    Index
	versions Versions
	// references may be nil.
	references References
	// reissue replaces a token whose declaration has changed.
	reissue func(context.Context, vending.Renewal) (bool, error)

	mu sync.Mutex
	// next is the cursor of the listing in progress, and listed its secrets so far.
	// recorded are the connections that had a record when it began, and were not
	// compared yet.
	next     string
	listed   map[string]clientsecret.Version
	recorded map[string]bool
	// share is the number of secrets that one tick compares.
	share int
	// unrecorded has the version of the secret for which a connection has no record:
	// it never had a valid declaration.
	unrecorded map[string]string
	// unread is why the version of a referenced secret is not known.
	unread error
	// again are the secrets that could not be reconciled, with their connections. Their
	// records may have been written, and their tokens not replaced.
	again map[string][]string
}

func newSweep(core Core, index Index, versions Versions, references References, reissue func(context.Context, vending.Renewal) (bool, error)) *sweep {
	return &sweep{core: core, index: index, versions: versions, references: references, reissue: reissue,
		unrecorded: map[string]string{}, again: map[string][]string{}}
}

// tick compares this tick's share, and reconciles the secrets that differ, and those
// that could not be reconciled before.
func (x *sweep) tick(ctx context.Context, run *stats) {
	x.mu.Lock()
	defer x.mu.Unlock()
	changed, err := x.compare(ctx)
	if err != nil {
		run.failed(err)
	}
	if x.unread != nil {
		run.failed(x.unread)
		x.unread = nil
	}
	for _, c := range changed {
		former := append(x.again[c.Secret], c.Former...)
		slices.Sort(former)
		x.again[c.Secret] = slices.Compact(former) // it may fail in each tick
	}
	changed = changed[:0]
	for _, secret := range slices.Sorted(maps.Keys(x.again)) {
		changed = append(changed, vending.Changed{Secret: secret, Former: x.again[secret]})
	}
	x.reconcile(ctx, changed, run)
}

// event reconciles one secret that an event reports.
func (x *sweep) event(ctx context.Context, name string, event declaration.Event, run *stats) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.reconcile(ctx, []vending.Changed{{Secret: name, Event: event}}, run)
}

// compare returns what differs of the next secrets of the listing, and at its end, of
// the records that belong to none of them.
func (x *sweep) compare(ctx context.Context) ([]vending.Changed, error) {
	if x.next == "" {
		if err := x.begin(ctx); err != nil {
			return nil, err
		}
	}
	found, next, err := x.versions.Versions(ctx, x.share, x.next)
	if errors.Is(err, clientsecret.ErrBadCursor) {
		x.next = "" // the cursor expired; the next tick starts a new listing
	}
	if err != nil {
		return nil, listProblem(err)
	}
	changed, err := x.compareListed(ctx, found)
	if err != nil {
		return nil, err
	}
	if x.next = next; next == "" {
		rest, err := x.compareRest(ctx)
		return append(changed, rest...), err
	}
	return changed, nil
}

// begin lists the connections that have a record. Their number is about that of the
// secrets, or larger.
func (x *sweep) begin(ctx context.Context) error {
	x.listed, x.recorded = map[string]clientsecret.Version{}, map[string]bool{}
	for shard := range wheel.Shards {
		for next, first := "", true; first || next != ""; first = false {
			names, more, err := x.index.DeclaredConnections(ctx, shard, next)
			if err != nil {
				return storeProblem(err)
			}
			for _, name := range names {
				x.recorded[name] = true
			}
			next = more
		}
	}
	x.share = max(comparedPerTick, (len(x.recorded)+comparisonTicks-1)/comparisonTicks)
	return nil
}

// compareListed compares listed secrets with their records and those of their members.
func (x *sweep) compareListed(ctx context.Context, found []clientsecret.Version) ([]vending.Changed, error) {
	versions := map[string]clientsecret.Version{}
	for _, v := range found {
		if _, err := connection.ParseName(v.Name); err == nil { // no other declares a connection
			versions[v.Name] = v
		}
	}
	own, err := x.read(ctx, slices.Sorted(maps.Keys(versions)))
	if err != nil {
		return nil, err
	}
	var members []string
	for _, r := range own {
		members = append(members, r.Members...)
	}
	records, err := x.read(ctx, members)
	if err != nil {
		return nil, err
	}
	maps.Copy(records, own)
	maps.Copy(x.listed, versions)
	return x.differing(ctx, records), nil
}

// compareRest compares the records that no listed secret names: those of secrets that
// are gone, and of members that a bundle no longer has.
func (x *sweep) compareRest(ctx context.Context) ([]vending.Changed, error) {
	records, err := x.read(ctx, slices.Sorted(maps.Keys(x.recorded)))
	if err != nil {
		return nil, err
	}
	return x.differing(ctx, records), nil
}

// read reads the records of connections.
func (x *sweep) read(ctx context.Context, names []string) (map[string]declaration.Record, error) {
	records, err := x.core.Declarations(ctx, names)
	if err != nil {
		return nil, err
	}
	found := make(map[string]declaration.Record, len(names))
	for i, name := range names {
		found[name] = records[i]
	}
	return found, nil
}

// differing returns the secrets of records that are not those of the listed version, or
// of the current versions of the secrets that they refer to, each with its connections
// among the records.
func (x *sweep) differing(ctx context.Context, records map[string]declaration.Record) []vending.Changed {
	rotated := x.rotated(ctx, records)
	former, differs := map[string][]string{}, map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(records)) {
		delete(x.recorded, name)
		secret := connection.Name(name).Secret()
		former[secret] = append(former[secret], name)
		v, r := x.listed[secret], records[name]
		if r.Empty() && x.unrecorded[name] != versionDigest(v.ARN, v.VersionID) || !r.Empty() && !r.Matches(v) || rotated[name] {
			differs[secret] = true
		}
	}
	var changed []vending.Changed
	for _, secret := range slices.Sorted(maps.Keys(differs)) {
		changed = append(changed, vending.Changed{Secret: secret, Former: former[secret]})
	}
	return changed
}

// rotated returns the connections whose record names another version of a referenced
// secret than the current one. Each secret is asked for once. One whose version is not
// known counts as unchanged.
func (x *sweep) rotated(ctx context.Context, records map[string]declaration.Record) map[string]bool {
	found, versions := map[string]bool{}, map[string]clientsecret.Version{}
	for name, r := range records {
		for id, recorded := range r.References {
			v, known := versions[id]
			if !known && x.references != nil {
				var err error
				if v, err = x.references.Version(ctx, id); err != nil {
					x.unread = listProblem(err)
					continue
				}
				versions[id] = v
			}
			found[name] = found[name] || recorded.Version != v.VersionID
		}
	}
	return found
}

// versionDigest identifies a version of a secret, or that there is none.
func versionDigest(arn, versionID string) string {
	if versionID == "" {
		return "none"
	}
	return digest.Short(arn, versionID)
}

// reconcile reconciles secrets, several of them concurrently.
func (x *sweep) reconcile(ctx context.Context, changed []vending.Changed, run *stats) {
	var mu sync.Mutex // guards unrecorded and again
	var g errgroup.Group
	g.SetLimit(maxReconciling)
	for _, c := range changed {
		if !timeLeft(ctx) {
			run.leftOver()
			continue
		}
		c.Reissue = x.reissue
		g.Go(func() error {
			change, err := recovered(func() (vending.Change, error) { return x.core.Reconcile(ctx, c) })
			run.reissued(change.Reissued)
			run.recorded(change.Recorded)
			if err != nil {
				run.failed(err)
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			if !change.Ignored {
				delete(x.again, c.Secret)
			}
			for _, name := range change.Unrecorded {
				x.unrecorded[name] = versionDigest(change.ARN, change.VersionID)
			}
			return nil
		})
	}
	_ = g.Wait()
}
