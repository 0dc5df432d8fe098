package localrun

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/netip"

	"github.com/tokenvend/tokenvend/pkg/assembly"
	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/folder"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/directory"
	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/gateway/pages"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/renewal"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"

	"github.com/tokenvend/tokenvend/scripts/internal/localgateway"
	"github.com/tokenvend/tokenvend/scripts/internal/sigv4"
)

// loopback are the networks that providers of a local run may be in. The deployed
// service refuses them.
var loopback = egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}

// composed is the whole service in one process.
type composed struct {
	api       http.Handler
	directory *directory.Directory
	renewer   *renewal.Renewer
}

// compose joins the functions on embedded parts. The folder is read without the
// functions' cache, so an edited file takes effect at the next refresh.
//
// The callers' core and the renewer's are separate cores over one store, as the
// functions are separate processes over one table: each learns of the other's work
// by lease and version. A single core would hide errors in that. Tokens and consents
// share the callers' core, so that a disconnected grant is not served from memory.
func compose(a addresses, e Env) (composed, error) {
	store, source := memory.New(), folder.New(folder.Config{Path: a.connections})
	parts := assembly.Service{
		Store: store, Sessions: store, Secrets: source, References: folder.NewReferences(folder.Config{Path: a.connections}), Parser: connection.Parser{Egress: loopback},
		Sealer: newSealer(), FrontSealer: newSealer(), PublicBaseURL: a.url,
		Audit: audit.NewWriter(audit.Config{Output: e.Log, Now: e.Now}), Now: e.Now, Wait: e.Wait,
	}
	core := parts.Core()
	api, err := localgateway.New(localgateway.Config{
		Verifier: sigv4.New(sigv4.Config{Keys: keys(), Region: region, Service: service, Now: e.Now}),
		Callers:  callers(),
		Stage:    stage,
		Now:      e.Now,
		Functions: map[string]localgateway.Function{
			"vend":        parts.Vend(core),
			"connections": parts.Connections(core),
			"consent":     parts.Consent(parts.FrontChannel(), pages.New()),
		},
		Failed: func(requestID, function string, err error) {
			fmt.Fprintf(e.Log, "request %s: function %s failed: %v\n", requestID, function, err)
		},
	})
	return composed{api: api, directory: parts.Directory(), renewer: parts.Renewer(parts.Core())}, err
}

// newSealer returns a sealer with a random key, which is lost with the process, as
// the memory store is.
func newSealer() *seal.Sealer {
	keyset := redact.New(fmt.Sprintf(`{"primary":"k1","k1":%q}`, rand.Text()+rand.Text()))
	return seal.New(seal.Config{Keyset: func(context.Context) (redact.Secret, error) { return keyset, nil }})
}
