package renewal

import (
	"context"
	"errors"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/digest"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

const (
	// comparedPerTick secrets are compared in each tick. If there are more, a
	// complete comparison takes comparisonTicks ticks.
	comparedPerTick = 1000
	comparisonTicks = 15
	// maxReconciling bounds the secrets reconciled concurrently.
	maxReconciling = 16
)

// secretIndex records the version of each secret that the stored tokens were
// reconciled with, and the connections that the secret declared. It is stored in
// documents of the table and cached in this process between ticks. An outdated
// cache is harmless: a secret is then reconciled once more.
type secretIndex struct {
	core      Core
	documents Documents
	versions  Versions

	mu    sync.Mutex
	pages [indexPages]*indexPage
	// next is the cursor of the listing in progress, listed the names it has
	// returned so far.
	next   string
	listed map[string]bool
}

// secretState is the record of one secret. Its encoding is short, because every
// cold start reads the whole index.
type secretState struct {
	// Version is a digest of ARN and version id, so a deleted and recreated secret
	// has another version; noVersion if nothing of it can be read.
	Version string `json:"v"`
	// Connections is omitted if the secret declares only the connection of its own
	// name.
	Connections []string `json:"c,omitempty"`
}

// declared returns the connections that the secret declared.
func (s secretState) declared(name string) []string {
	if s.Version != "" && len(s.Connections) == 0 {
		return []string{name}
	}
	return s.Connections
}

func newSecretState(name string, c vending.Change) secretState {
	s := secretState{Version: versionDigest(c.ARN, c.VersionID), Connections: c.Connections}
	if slices.Equal(s.Connections, []string{name}) {
		s.Connections = nil
	}
	return s
}

// noVersion is the version of a secret that is scheduled for deletion or has no
// current version.
const noVersion = "none"

func versionDigest(arn, versionID string) string {
	if versionID == "" {
		return noVersion
	}
	return digest.Short(arn, versionID)
}

func newSecretIndex(core Core, documents Documents, versions Versions) *secretIndex {
	return &secretIndex{core: core, documents: documents, versions: versions}
}

// syncAll compares the current versions with the index and reconciles the
// secrets that differ. A secret that could not be reconciled still differs, so
// the next tick tries again.
func (x *secretIndex) syncAll(ctx context.Context, run *stats) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.load(ctx); err != nil {
		run.failed(err)
		return
	}
	changed, err := x.compare(ctx)
	if err != nil {
		run.failed(err)
	}
	x.reconcile(ctx, changed, declaration.Event{}, run)
	x.save(ctx, run)
}

// syncOne reconciles one secret that an event reports.
func (x *secretIndex) syncOne(ctx context.Context, name string, event declaration.Event, run *stats) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.load(ctx); err != nil {
		run.failed(err)
		return
	}
	x.reconcile(ctx, []string{name}, event, run)
	x.save(ctx, run)
}

// compare lists this tick's share of the versions and returns the names of
// secrets that differ from the index. A secret that a complete listing does not
// contain was deleted.
func (x *secretIndex) compare(ctx context.Context) ([]string, error) {
	if x.next == "" {
		x.listed = map[string]bool{}
	}
	var changed []string
	found, next, err := x.versions.Versions(ctx, x.share(), x.next)
	if errors.Is(err, clientsecret.ErrBadCursor) {
		x.next = "" // the cursor expired; the next tick starts a new listing
	}
	if err != nil {
		return nil, listProblem(err)
	}
	for _, v := range found {
		x.listed[v.Name] = true
		if x.page(v.Name).secrets[v.Name].Version != versionDigest(v.ARN, v.VersionID) {
			changed = append(changed, v.Name)
		}
	}
	if x.next = next; next == "" {
		changed = append(changed, x.deleted()...)
	}
	return changed, nil
}

// share returns the number of secrets that one tick compares.
func (x *secretIndex) share() int {
	secrets := 0
	for _, p := range x.pages {
		secrets += len(p.secrets)
	}
	return max(comparedPerTick, (secrets+comparisonTicks-1)/comparisonTicks)
}

// deleted returns the secrets of the index that were not listed.
func (x *secretIndex) deleted() []string {
	var names []string
	for _, p := range x.pages {
		for name := range p.secrets {
			if !x.listed[name] {
				names = append(names, name)
			}
		}
	}
	return names
}

// reconcile reconciles secrets, several of them concurrently. The event, if there is
// one, reported all of them.
func (x *secretIndex) reconcile(ctx context.Context, names []string, event declaration.Event, run *stats) {
	var mu sync.Mutex // guards the pages
	var g errgroup.Group
	g.SetLimit(maxReconciling)
	for _, name := range names {
		if !timeLeft(ctx) {
			run.leftOver()
			continue
		}
		p := x.page(name)
		mu.Lock()
		before := p.secrets[name]
		mu.Unlock()
		g.Go(func() error {
			change, ok := x.reconcileOne(ctx, vending.Changed{Secret: name, Former: before.declared(name), Event: event}, run)
			if ok && !change.Ignored {
				mu.Lock()
				defer mu.Unlock()
				p.update(name, change)
			}
			return nil
		})
	}
	_ = g.Wait()
}

// reconcileOne reconciles one secret; ok is false if that failed.
func (x *secretIndex) reconcileOne(ctx context.Context, c vending.Changed, run *stats) (change vending.Change, ok bool) {
	change, err := recovered(func() (vending.Change, error) { return x.core.Reconcile(ctx, c) })
	run.reissued(change.Reissued)
	run.recorded(change.Recorded)
	if err != nil {
		run.failed(err)
		return change, false
	}
	return change, true
}
