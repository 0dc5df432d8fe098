package issue

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// fallbackMemory is how long the previous version of a secret is tried first.
const fallbackMemory = 5 * time.Minute

// secretFallback remembers for which secret versions the provider still accepts
// the previous one, so that it is not asked with the wrong one each time.
type secretFallback struct {
	mu    sync.Mutex
	until map[string]time.Time
}

func (f *secretFallback) remember(conn connection.Connection, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.until == nil || len(f.until) >= rules.ProcessMemory {
		f.until = make(map[string]time.Time)
	}
	f.until[fallbackKey(conn)] = now.Add(fallbackMemory)
}

// forget is for a previous version that is refused by now.
func (f *secretFallback) forget(conn connection.Connection) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.until, fallbackKey(conn))
}

func (f *secretFallback) known(conn connection.Connection, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.until[fallbackKey(conn)].After(now)
}

func fallbackKey(conn connection.Connection) string {
	return string(conn.Name) + "\x00" + conn.SecretVersion + "\x00" + conn.ConfigHash
}

// knownFallback returns the previous version if the provider is known to accept it.
func (i *Issuer) knownFallback(ctx context.Context, conn connection.Connection) (connection.Connection, bool) {
	if !i.fallback.known(conn, i.clock.Now()) {
		return connection.Connection{}, false
	}
	return i.previous(ctx, conn)
}

// previous reads the declaration with the version before the current one of the secret
// whose current version is the youngest: the connection's own, or one that it refers
// to. It is of use only if nothing but the client differs in it.
func (i *Issuer) previous(ctx context.Context, current connection.Connection) (connection.Connection, bool) {
	for _, referenced := range current.Youngest() {
		previous, err := i.previousOf(ctx, current, referenced)
		if err == nil && !sameClient(previous, current) &&
			(referenced != "" || reflect.DeepEqual(withoutClient(previous), withoutClient(current))) {
			return previous, true
		}
	}
	return connection.Connection{}, false
}

// previousOf reads the declaration with the previous version of one referenced secret,
// or, if that is empty, of the connection's own.
func (i *Issuer) previousOf(ctx context.Context, current connection.Connection, referenced string) (connection.Connection, error) {
	stage, parser := clientsecret.Previous, i.loader.Parser.Reading(ctx, true)
	if referenced != "" {
		stage, parser = clientsecret.Current, i.loader.Parser.ReadingPrevious(ctx, referenced)
	}
	s, err := i.loader.Secrets.Load(ctx, current.Name.Secret(), stage, true)
	if err != nil {
		return connection.Connection{}, err
	}
	if referenced != "" && s.VersionID != current.SecretVersion {
		return connection.Connection{}, errors.New("the connection's own secret has changed too")
	}
	return parser.Parse(current.Name, s)
}

func withoutClient(conn connection.Connection) connection.Connection {
	conn.ClientID, conn.ClientSecret, conn.PrivateKey, conn.KeyID = "", redact.Secret{}, nil, ""
	conn.ConfigHash, conn.InputsHash, conn.ProofHash = "", "", ""
	conn.SecretVersion, conn.SecretCreatedAt, conn.References = "", time.Time{}, nil
	return conn
}

func sameClient(a, b connection.Connection) bool {
	return a.ClientID == b.ClientID && a.ClientSecret == b.ClientSecret && a.KeyID == b.KeyID &&
		reflect.DeepEqual(a.PrivateKey, b.PrivateKey) && reflect.DeepEqual(a.Certificate, b.Certificate) &&
		a.Password == b.Password && maps.Equal(a.Headers, b.Headers)
}
