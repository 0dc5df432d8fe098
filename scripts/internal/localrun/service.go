package localrun

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/netip"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/folder"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/directory"
	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/gateway"
	"github.com/tokenvend/tokenvend/pkg/gateway/pages"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/renewal"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
	"github.com/tokenvend/tokenvend/pkg/vending"
	"github.com/tokenvend/tokenvend/scripts/internal/localgateway"
	"github.com/tokenvend/tokenvend/scripts/internal/sigv4"
)

// loopback are the networks that providers of a local run may be in, although
// the service refuses them everywhere else.
var loopback = egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}

// composed is the whole service in one process.
type composed struct {
	api       http.Handler
	directory *directory.Directory
	renewer   *renewal.Renewer
}

// compose joins what the functions join, on embedded parts. The folder is read
// directly, without the functions' cache in front: an edited file counts at the
// next refresh. Audit lines go to the log.
//
// The callers' core and the renewer's are two over one store, as the functions
// are two processes over one table: what one of them remembers the other must
// find out, by lease and version. One core for both would work here and hide
// whatever fails there. Tokens and consents share the callers' core: who has
// disconnected a connection wants to see that it is, and not in ten seconds.
func compose(p place, w World) (composed, error) {
	source := folder.New(folder.Config{Path: p.connections})
	store, parser := memory.New(), connection.Parser{Egress: loopback}
	provider := oauth.New(oauth.Config{Egress: loopback, Now: w.Now})
	sealer := seal.New(seal.Config{Keyset: keyset(rand.Text() + rand.Text())})
	writer := audit.NewWriter(audit.Config{Output: w.Log, Now: w.Now})
	core := func() *vending.Core {
		return vending.New(vending.Config{Store: store, Secrets: source, Parser: parser,
			Minter: provider, Revoker: provider, Sealer: sealer, Now: w.Now})
	}
	directory := directory.New(directory.Config{Store: store, Secrets: source, Lister: source, Parser: parser, Now: w.Now})
	callersCore := core()
	api, err := localgateway.New(localgateway.Config{
		Verifier: sigv4.New(sigv4.Config{Keys: keys(), Region: region, Service: service, Now: w.Now}),
		Callers:  callers(),
		Stage:    stage,
		Now:      w.Now,
		Functions: map[string]localgateway.Function{
			"vend": gateway.Vend(gateway.VendConfig{Tokens: callersCore, Audit: writer, Now: w.Now}),
			"connections": gateway.Connections(gateway.ConnectionsConfig{Directory: directory, Audit: writer, Now: w.Now,
				PublicBaseURL: p.url, Grants: callersCore,
				BackChannel: consent.NewBackChannel(consent.BackChannelConfig{Sessions: store, Pending: store, Grants: callersCore, Sealer: sealer, Now: w.Now})}),
			"consent": gateway.Consent(gateway.ConsentConfig{Audit: writer, Pages: pages.New(),
				FrontChannel: consent.NewFrontChannel(consent.FrontChannelConfig{Sessions: store, Now: w.Now,
					Sealer: seal.New(seal.Config{Keyset: keyset(rand.Text() + rand.Text())})})}),
		},
		Failed: func(requestID, function string, err error) {
			fmt.Fprintf(w.Log, "request %s: function %s gave no answer: %v\n", requestID, function, err)
		},
	})
	renewer := renewal.New(renewal.Config{Core: core(), Index: store, Documents: store, Versions: source, Audit: writer, Now: w.Now})
	return composed{api: api, directory: directory, renewer: renewer}, err
}

// keyset serves a sealing keyset with that one key. It dies with the process,
// as the memory store does.
func keyset(key string) func(context.Context) (redact.Secret, error) {
	text := redact.New(fmt.Sprintf(`{"primary":"k1","k1":%q}`, key))
	return func(context.Context) (redact.Secret, error) { return text, nil }
}
