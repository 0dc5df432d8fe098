package connection

import (
	"maps"
	"slices"

	"github.com/tokenvend/tokenvend/pkg/digest"
)

// proofMembers prove the client's identity to the provider.
var proofMembers = []string{mClientSecret, mPrivateKey, mKeyID, mCertificate, mAlgorithm}

// servingMembers do not change which token the provider issues: they say who may use
// it, when it is replaced, how a user consents and how a token is revoked. They have
// the same names in a provider object.
var servingMembers = []string{
	mCallers, mAllowedScopes, "present",
	mSchema, "title", "documentation", "note",
	"early_refresh", mTokenTimeout, "max_renewal_groups",
	mAuthorizationURL, mRedirectURI, mPKCE, mAuthzParams, "callback",
	mRevocationURL, "revocation_ends_grant",
}

// inputsHash identifies what a declaration, as it is written, has a token requested
// with. The catalogue is not part of it: a new release with another entry replaces
// no token.
func inputsHash(members map[string]any) string {
	inputs := without(members, servingMembers, proofMembers)
	if server, inline := inputs[mProvider].(map[string]any); inline {
		inputs[mProvider] = without(server, servingMembers)
	}
	return digest.Full(string(canonical(inputs)))
}

// proofHash identifies the client's proof: the members that prove its identity, and
// every value that comes from another secret, because such a secret is rotated as
// one that a connection holds itself.
func proofHash(members map[string]any, values map[string]string) string {
	members = withValues(members, values)
	proof := make(map[string]any)
	for path, value := range values {
		proof[path] = value
	}
	for _, name := range proofMembers {
		if value, ok := members[name]; ok {
			proof[name] = value
		}
	}
	return digest.Full(string(canonical(proof)))
}

// without returns a copy of members that lacks some.
func without(members map[string]any, names ...[]string) map[string]any {
	rest := maps.Clone(members)
	for _, name := range slices.Concat(names...) {
		delete(rest, name)
	}
	return rest
}
