package sandbox

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// declaration is a connection file: what an operator would write after
// registering the client in the provider's portal.
type declaration struct {
	Provider         string `json:"provider"`
	GrantType        string `json:"grant_type,omitempty"`
	ClientID         string `json:"client_id"`
	ClientSecret     string `json:"client_secret,omitempty"`
	ClientAuth       string `json:"client_auth,omitempty"`
	PrivateKey       string `json:"private_key,omitempty"`
	KeyID            string `json:"key_id,omitempty"`
	BaseURL          string `json:"base_url,omitempty"`
	TokenURL         string `json:"token_url,omitempty"`
	AuthorizationURL string `json:"authorization_url,omitempty"`
	RevocationURL    string `json:"revocation_url,omitempty"`
	Issuer           string `json:"issuer,omitempty"`
}

// Connections are the connection files of all clients by connection name, as
// they should be now. They hold the client secrets.
func (s *Sandbox) Connections() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	files := make(map[string][]byte, len(s.clients))
	for name, c := range s.clients {
		files[name] = s.file(c)
	}
	return files
}

// WriteConnections writes every connection's file into a folder that exists,
// readable by its owner alone. Each file appears whole or not at all.
func (s *Sandbox) WriteConnections(folder string) error {
	for name, text := range s.Connections() {
		if err := replaceFile(folder, name, text); err != nil {
			return err
		}
	}
	return nil
}

// file is the text of one connection's file. s.mu is held.
func (s *Sandbox) file(c *client) []byte {
	d := declaration{Provider: c.server.provider, ClientID: c.id}
	if c.isDelegated() {
		s.declareDelegation(&d, c)
	}
	if c.server == s.generic {
		d.ClientAuth = string(c.auth[0])
	}
	if c.usesSecret() {
		d.ClientSecret = c.secret.Reveal()
	}
	if c.key != nil {
		d.PrivateKey, d.KeyID = pemText(c), c.keyID
	}
	c.server.declare(&d, s.baseURL+c.server.prefix)
	return indented(d)
}

// declareDelegation names what a delegated connection needs. The redirect URI
// is the deployment's to know, and so is not in the file. s.mu is held.
func (s *Sandbox) declareDelegation(d *declaration, c *client) {
	base, about := s.baseURL+c.server.prefix, c.server.delegation
	d.GrantType = authorizationCode
	d.AuthorizationURL = base + about.authorizePath
	d.RevocationURL = base + about.revocationPath
	if c.issuer != IssuerAbsent {
		d.Issuer = s.issuerOf(c.server)
	}
}

func pemText(c *client) string {
	der, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		panic("sandbox: a key that Register accepted: " + err.Error())
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func indented(v any) []byte {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic("sandbox: unmarshalable connection file: " + err.Error())
	}
	return append(text, '\n')
}

// rewriteSecret puts a connection's current secret into its file, and leaves
// what else an operator wrote there alone.
func (s *Sandbox) rewriteSecret(connection string) error {
	s.files.Lock() // so that of two rotations the later one stays
	defer s.files.Unlock()
	current := s.Connections()[connection]
	text, err := os.ReadFile(filepath.Join(s.folder, connection+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return replaceFile(s.folder, connection, current)
	}
	if err != nil {
		return fmt.Errorf("read connection file %s.json: %w", connection, err)
	}
	text, err = withSecretOf(text, current)
	if err != nil {
		return fmt.Errorf("file %s.json is not a connection: mend it, or delete it to have it written anew", connection)
	}
	return replaceFile(s.folder, connection, text)
}

// withSecretOf returns the file with the client_secret of another.
func withSecretOf(file, other []byte) ([]byte, error) {
	var edited, current map[string]json.RawMessage
	if err := json.Unmarshal(file, &edited); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(other, &current); err != nil {
		return nil, err
	}
	if edited == nil {
		return nil, errors.New("the file holds null")
	}
	edited["client_secret"] = current["client_secret"]
	return indented(edited), nil
}

// replaceFile writes a connection's file beside its place and moves it there,
// so that nobody reads half of one.
func replaceFile(folder, connection string, text []byte) error {
	f, err := os.CreateTemp(folder, "."+connection+"-*.tmp") // mode 0600
	if err != nil {
		return fmt.Errorf("write connection file: %w", err)
	}
	defer os.Remove(f.Name()) // nothing is left there after the move
	_, err = f.Write(text)
	if errClose := f.Close(); err == nil {
		err = errClose
	}
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(folder, connection+".json"))
	}
	if err != nil {
		return fmt.Errorf("write connection file: %w", err)
	}
	return nil
}
