package renewal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"

	"golang.org/x/sync/errgroup"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// indexPages is the number of documents of the secret index. A document holds
// 400 KB. A secret with one connection takes about 50 bytes, a bundle of 150
// connections about 2 KB, so the index holds a few hundred thousand secrets.
const indexPages = 64

// indexPage is one document of the secret index.
type indexPage struct {
	document tokenstore.Document
	secrets  map[string]secretState
	changed  bool
}

// newIndexPage decodes a document. A corrupt document is an empty page: its
// secrets are all reconciled again.
func newIndexPage(d tokenstore.Document) *indexPage {
	p := &indexPage{document: d, secrets: map[string]secretState{}}
	if err := json.Unmarshal(d.Text, &p.secrets); err != nil || p.secrets == nil {
		p.secrets = map[string]secretState{}
	}
	return p
}

// update records that a secret was reconciled, or that it was deleted.
func (p *indexPage) update(name string, c vending.Change) {
	p.changed = true
	if c.VersionID == "" && len(c.Connections) == 0 {
		delete(p.secrets, name)
		return
	}
	p.secrets[name] = newSecretState(name, c)
}

// page returns the page that contains a secret.
func (x *secretIndex) page(name string) *indexPage {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	return x.pages[h.Sum32()%indexPages]
}

// load reads the pages that are not cached.
func (x *secretIndex) load(ctx context.Context) error {
	var g errgroup.Group
	for i, p := range x.pages {
		if p != nil {
			continue
		}
		g.Go(func() error {
			d, err := x.documents.ReadDocument(ctx, fmt.Sprintf("secrets/%d", i))
			if err != nil {
				return storeProblem(err)
			}
			x.pages[i] = newIndexPage(d)
			return nil
		})
	}
	return g.Wait()
}

// save writes the pages that changed. A page that another process has written in
// the meantime is removed from the cache, so the next tick reads it again.
func (x *secretIndex) save(ctx context.Context, run *stats) {
	for i, p := range x.pages {
		if !p.changed {
			continue
		}
		text, err := json.Marshal(p.secrets)
		if err == nil {
			p.document.Text = text
			p.document, err = x.documents.WriteDocument(ctx, p.document)
		}
		p.changed = false
		if err != nil {
			x.pages[i] = nil
		}
		if err != nil && !errors.Is(err, tokenstore.ErrSuperseded) {
			run.failed(storeProblem(err))
		}
	}
}
