// Package assembly composes the service. It is the only place that does: the
// functions, the local run, process tests and benchmarks fill in a [Service]
// and call its methods, so that each of them runs the same composition.
//
// The package names no technology. Package fromenv fills in a Service for AWS
// from a function's environment.
package assembly

import (
	"context"
	"io"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/directory"
	"github.com/tokenvend/tokenvend/pkg/gateway"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/renewal"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// Store holds tokens, grants, the renewal index and the service's own
// documents; awsdynamodb and memory each have one.
type Store interface {
	vending.Store
	renewal.Index
	renewal.Documents
}

// Secrets reads and lists the secrets of connections; awssecretsmanager and
// folder each have one.
type Secrets interface {
	clientsecret.Loader
	directory.Lister
	renewal.Versions
}

// References reads the secrets that connections refer to; awssecretsmanager and
// folder each have one.
type References interface {
	clientsecret.Loader
	renewal.References
}

// Provider is the client of authorization servers.
type Provider interface {
	vending.Minter
	vending.Revoker
}

// Service is what differs between one running service and another. Fields that
// a method does not use may be left out.
type Service struct {
	Store    Store
	Sessions consent.Sessions
	Secrets  Secrets
	// References is nil where connections may refer to no other secret.
	References References
	// CacheSecrets puts a cache of up to a minute between the core and Secrets, and
	// between it and References.
	// The core goes past it where the current version matters.
	CacheSecrets bool
	// Parser reads declarations, which refer to References; its egress policy also guards Provider.
	Parser connection.Parser
	// Provider is nil for the strict OAuth client.
	Provider Provider
	// Sealer protects tokens, grants and the confidential part of consents.
	Sealer vending.Sealer
	// FrontSealer protects the forms of the public pages, under another keyset.
	FrontSealer consent.Sealer
	// Audit writes one line for each outcome.
	Audit *audit.Writer
	// InvocationID names an invocation whose event names no request; nil when
	// there is no such name.
	InvocationID func(context.Context) string
	// PublicBaseURL is the public base of the consent page and the callback;
	// empty takes it from the call that starts a consent.
	PublicBaseURL string

	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
	// Rand is the source of ids, states and jitter; nil means crypto/rand.
	Rand io.Reader
	// Wait pauses between polls of a lease; nil waits for real.
	Wait func(context.Context, time.Duration) error
}

// Core returns a core over the service's parts. Two cores over one store behave
// as two execution environments do: each learns of the other's work by lease
// and version.
func (s Service) Core() *vending.Core {
	provider := s.Provider
	if provider == nil {
		provider = oauth.New(oauth.Config{Egress: s.Parser.Egress, Now: s.Now})
	}
	secrets := vending.Secrets(s.Secrets)
	if s.CacheSecrets {
		secrets = clientsecret.NewCache(clientsecret.CacheConfig{Source: s.Secrets, Now: s.Now})
	}
	return vending.New(vending.Config{
		Store: s.Store, Secrets: secrets, Parser: s.parser(s.CacheSecrets), Minter: provider, Revoker: provider, Sealer: s.Sealer,
		Now: s.Now, Rand: s.Rand, Wait: s.Wait,
	})
}

// parser is Parser with References.
func (s Service) parser(cached bool) connection.Parser {
	p := s.Parser
	switch {
	case s.References == nil:
	case cached:
		p.References = clientsecret.NewCache(clientsecret.CacheConfig{Source: s.References, Now: s.Now})
	default:
		p.References = s.References
	}
	return p
}

// Vend returns the handler of the …/token routes. The gateway checks who asks
// and for what, and writes the audit line; the core behind it judges the
// connection's callers before it serves even a remembered token.
func (s Service) Vend(tokens gateway.Tokens) *gateway.Handler {
	return gateway.Vend(gateway.VendConfig{Tokens: tokens, Audit: s.Audit, InvocationID: s.InvocationID, Now: s.Now})
}

// Grants is what the signed side of consents asks of a core.
type Grants interface {
	gateway.Grants
	consent.Grants
}

// Connections returns the handler of the status and …/authorization routes. Its
// directory reads secrets past the cache: a status is often asked for right
// after an edit.
func (s Service) Connections(grants Grants) *gateway.Handler {
	return gateway.Connections(gateway.ConnectionsConfig{
		Directory: s.Directory(), BackChannel: s.BackChannel(grants), Grants: grants,
		PublicBaseURL: s.PublicBaseURL, Audit: s.Audit, InvocationID: s.InvocationID, Now: s.Now,
	})
}

// Directory lists connections and their states.
func (s Service) Directory() *directory.Directory {
	return directory.New(directory.Config{
		Store: s.Store, Sealer: s.Sealer, Secrets: s.Secrets, Lister: s.Secrets, Parser: s.parser(false), Now: s.Now,
	})
}

// BackChannel returns the signed side of consents: start and complete.
func (s Service) BackChannel(grants consent.Grants) *consent.BackChannel {
	return consent.NewBackChannel(consent.BackChannelConfig{
		Sessions: s.Sessions, Pending: s.Store, Grants: grants, Sealer: s.Sealer, Now: s.Now, Rand: s.Rand,
	})
}

// Consent returns the handler of the public pages. It is given sessions and a
// keyset of its own, and nothing else: no secret, no grant, no token.
func (s Service) Consent(front gateway.FrontChannel, pages gateway.Pages) *gateway.Handler {
	return gateway.Consent(gateway.ConsentConfig{
		FrontChannel: front, Pages: pages, Audit: s.Audit, InvocationID: s.InvocationID, Now: s.Now,
	})
}

// FrontChannel returns the public side of consents: consent page and callback.
func (s Service) FrontChannel() *consent.FrontChannel {
	return consent.NewFrontChannel(consent.FrontChannelConfig{
		Sessions: s.Sessions, Sealer: s.FrontSealer, Now: s.Now, Rand: s.Rand,
	})
}

// Renewer returns the renewer: it renews what is due and reconciles tokens with
// changed secrets.
func (s Service) Renewer(core renewal.Core) *renewal.Renewer {
	return renewal.New(renewal.Config{
		Core: core, Index: s.Store, Documents: s.Store, Versions: s.Secrets, References: s.References, Audit: s.Audit, Now: s.Now,
	})
}
