package renewal

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

const (
	// ledgerShards divide the ledger into notes. A secret of its own takes some 50
	// bytes of one, a bundle of 150 members some 2 KB, and a note holds 400 KB: a
	// few hundred thousand secrets.
	ledgerShards = 64
	// sweepAll secrets are compared in every tick; more than that are spread
	// over sweepTicks of them.
	sweepAll   = 1000
	sweepTicks = 15
	// reconciling bounds the secrets looked at at once.
	reconciling = 16
)

// ledger remembers which version of each secret the stored tokens agree with,
// and which connections it declared. It is kept in notes of the table, and in
// this process between ticks; a copy that another process has overtaken only
// makes a secret be looked at once more.
type ledger struct {
	core     Core
	notes    Documents
	versions Versions

	mu     sync.Mutex
	pages  [ledgerShards]*page
	next   string          // where the sweep under way goes on
	listed map[string]bool // its secrets so far; nil when this process did not begin it
}

// page is one note of the ledger.
type page struct {
	note    tokenstore.Document
	secrets map[string]known
	dirty   bool
}

// known is what the ledger says of one secret. It is written small, for all of
// it is read at each cold start.
type known struct {
	// Version is a digest of ARN and version id: a namesake is another version.
	Version string `json:"v"`
	// Connections are left out where the secret declares the one of its own name.
	Connections []string `json:"c,omitempty"`
}

func digest(arn, versionID string) string {
	sum := sha256.Sum256([]byte(arn + "\x00" + versionID))
	return hex.EncodeToString(sum[:8])
}

// declared are the connections that a known secret was seen to declare.
func (k known) declared(name string) []string {
	if k.Version != "" && len(k.Connections) == 0 {
		return []string{name}
	}
	return k.Connections
}

func newKnown(name string, c vending.Change) known {
	k := known{Version: digest(c.ARN, c.VersionID), Connections: c.Connections}
	if slices.Equal(k.Connections, []string{name}) {
		k.Connections = nil
	}
	return k
}

func newLedger(core Core, notes Documents, versions Versions) *ledger {
	return &ledger{core: core, notes: notes, versions: versions}
}

// sweep compares the current versions with the ledger and reconciles what
// differs. What fails stays different, and is tried again by the next tick.
func (l *ledger) sweep(ctx context.Context, run *tally) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.load(ctx); err != nil {
		run.failed(err)
		return
	}
	changed, err := l.compare(ctx)
	if err != nil {
		run.failed(err)
	}
	l.reconcile(ctx, changed, run)
	l.save(ctx, run)
}

// changed reconciles one secret at once.
func (l *ledger) changed(ctx context.Context, name string, run *tally) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.load(ctx); err != nil {
		run.failed(err)
		return
	}
	l.reconcile(ctx, []string{name}, run)
	l.save(ctx, run)
}

// load reads the pages that are not at hand.
func (l *ledger) load(ctx context.Context) error {
	var g errgroup.Group
	for i, p := range l.pages {
		if p != nil {
			continue
		}
		g.Go(func() error {
			note, err := l.notes.ReadDocument(ctx, fmt.Sprintf("ledger/%d", i))
			if err != nil {
				return storeProblem(err)
			}
			l.pages[i] = newPage(note)
			return nil
		})
	}
	return g.Wait()
}

// newPage reads a note. One that cannot be read is an empty page: its secrets
// are all looked at again.
func newPage(note tokenstore.Document) *page {
	p := &page{note: note, secrets: map[string]known{}}
	if err := json.Unmarshal(note.Text, &p.secrets); err != nil || p.secrets == nil {
		p.secrets = map[string]known{}
	}
	return p
}

func (l *ledger) page(name string) *page {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return l.pages[h.Sum32()%ledgerShards]
}

// compare lists versions, as many as this tick's share is, and returns those
// that the ledger does not know. A secret that a whole listing lacks is gone.
func (l *ledger) compare(ctx context.Context) ([]string, error) {
	if l.next == "" {
		l.listed = map[string]bool{}
	}
	var changed []string
	found, next, err := l.versions.Versions(ctx, l.share(), l.next)
	if errors.Is(err, clientsecret.ErrBadCursor) {
		l.next = "" // it has grown too old; begin again with the next tick
	}
	if err != nil {
		return nil, listProblem(err)
	}
	for _, v := range found {
		l.listed[v.Name] = true
		if l.page(v.Name).secrets[v.Name].Version != digest(v.ARN, v.VersionID) {
			changed = append(changed, v.Name)
		}
	}
	if l.next = next; next == "" {
		changed = append(changed, l.gone()...)
	}
	return changed, nil
}

// share is how many secrets one tick compares.
func (l *ledger) share() int {
	secrets := 0
	for _, p := range l.pages {
		secrets += len(p.secrets)
	}
	return max(sweepAll, (secrets+sweepTicks-1)/sweepTicks)
}

// gone are the secrets that are known and were not listed.
func (l *ledger) gone() []string {
	var gone []string
	for _, p := range l.pages {
		for name := range p.secrets {
			if !l.listed[name] {
				gone = append(gone, name)
			}
		}
	}
	return gone
}

// reconcile looks at changed secrets, several at once.
func (l *ledger) reconcile(ctx context.Context, changed []string, run *tally) {
	var mu sync.Mutex // over the pages, while several secrets are at work
	var g errgroup.Group
	g.SetLimit(reconciling)
	for _, name := range changed {
		if !timeLeft(ctx) {
			run.leftOver()
			continue
		}
		p := l.page(name)
		mu.Lock()
		before, seen := p.secrets[name]
		mu.Unlock()
		g.Go(func() error {
			change, err := guarded(func() (vending.Change, error) {
				return l.core.Reconcile(ctx, vending.Changed{Secret: name, Seen: seen, Former: before.declared(name)})
			})
			run.reissue(change.Reissued)
			run.drop(change.Dropped)
			if err != nil {
				run.failed(err)
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			p.dirty = true
			if change.VersionID == "" {
				delete(p.secrets, name)
				return nil
			}
			p.secrets[name] = newKnown(name, change)
			return nil
		})
	}
	_ = g.Wait()
}

// save writes the pages that changed. One that another process has written
// meanwhile is read anew by the next tick.
func (l *ledger) save(ctx context.Context, run *tally) {
	for i, p := range l.pages {
		if !p.dirty {
			continue
		}
		text, err := json.Marshal(p.secrets)
		if err == nil {
			p.note.Text = text
			p.note, err = l.notes.WriteDocument(ctx, p.note)
		}
		p.dirty = false
		if err != nil {
			l.pages[i] = nil
		}
		if err != nil && !errors.Is(err, tokenstore.ErrSuperseded) {
			run.failed(storeProblem(err))
		}
	}
}
