package localrun

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/netip"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/folder"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/gateway"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
	"github.com/tokenvend/tokenvend/pkg/vending"
	"github.com/tokenvend/tokenvend/scripts/internal/restapi"
	"github.com/tokenvend/tokenvend/scripts/internal/sigv4"
)

// loopback are the networks that providers of a local run may be in, although
// the service refuses them everywhere else.
var loopback = egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}

// api is the whole service in one process.
type api struct {
	http.Handler
	directory *vending.Directory
}

// newAPI composes what the functions compose, on embedded parts. The folder is
// read directly, without the functions' cache in front: an edited file counts
// at the next refresh. Audit lines go to log.
func newAPI(connections string, log io.Writer) (api, error) {
	source := folder.New(folder.Config{Path: connections})
	store, parser := memory.New(), connection.Parser{Egress: loopback}
	provider := oauth.New(oauth.Config{Egress: loopback})
	writer := audit.NewWriter(audit.Config{Output: log})
	directory := vending.NewDirectory(vending.DirectoryConfig{Store: store, Secrets: source, Lister: source, Parser: parser})
	handler, err := restapi.New(restapi.Config{
		Verifier: sigv4.New(sigv4.Config{Keys: keys(), Region: region, Service: service}),
		Callers:  callers(),
		Stage:    stage,
		Functions: map[string]restapi.Function{
			"vend": gateway.Vend(gateway.VendConfig{
				Tokens: vending.New(vending.Config{
					Store: store, Secrets: source, Parser: parser, Minter: provider, Revoker: provider,
					Sealer: seal.New(seal.Config{Keyset: keyset(rand.Text() + rand.Text())}),
				}),
				Audit: writer,
			}),
			"connections": gateway.Connections(gateway.ConnectionsConfig{Directory: directory, Audit: writer}),
		},
		Failed: func(requestID, function string, err error) {
			fmt.Fprintf(log, "request %s: function %s gave no answer: %v\n", requestID, function, err)
		},
	})
	return api{Handler: handler, directory: directory}, err
}

// keyset serves a sealing keyset with that one key. It dies with the process,
// as the memory store does.
func keyset(key string) func(context.Context) (redact.Secret, error) {
	text := redact.New(fmt.Sprintf(`{"primary":"k1","k1":%q}`, key))
	return func(context.Context) (redact.Secret, error) { return text, nil }
}
