package provider

// ClientAuth is how a client authenticates at the token endpoint (RFC 6749 §2.3,
// RFC 7523). It is declared, never probed: probing doubles failing calls and can
// lock the client out.
type ClientAuth string

// The client authentication methods. [ClientAuths] lists them.
const (
	ClientSecretPost     ClientAuth = "client_secret_post"
	ClientSecretBasic    ClientAuth = "client_secret_basic"     // RFC 6749 §2.3.1: id and secret form-encoded first
	ClientSecretBasicRaw ClientAuth = "client_secret_basic_raw" // for servers that do not decode them
	PrivateKeyJWT        ClientAuth = "private_key_jwt"
	NoClientAuth         ClientAuth = "none"
)

// ClientAuths returns all methods.
func ClientAuths() []ClientAuth {
	return []ClientAuth{ClientSecretPost, ClientSecretBasic, ClientSecretBasicRaw, PrivateKeyJWT, NoClientAuth}
}

// UsesSecret reports whether the method sends a client secret.
func (a ClientAuth) UsesSecret() bool {
	switch a {
	case ClientSecretPost, ClientSecretBasic, ClientSecretBasicRaw:
		return true
	case PrivateKeyJWT, NoClientAuth:
		return false
	}
	return false
}
