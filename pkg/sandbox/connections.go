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

// declaration is a connection file as an operator writes it after registering the
// client in the provider's portal.
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

// Connections are the current connection files of all clients by connection name.
// They contain the client secrets.
func (s *Sandbox) Connections() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	files := make(map[string][]byte, len(s.clients))
	for name, c := range s.clients {
		files[name] = s.file(c)
	}
	return files
}

// WriteConnections writes the files of all connections to an existing folder,
// readable only by its owner. Each file is replaced atomically.
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
	if c.server.entry != nil {
		return s.entryFile(c)
	}
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

// declareDelegation adds the members of a delegated connection. The redirect URI
// depends on the deployment and is not in the file. s.mu is held.
func (s *Sandbox) declareDelegation(d *declaration, c *client) {
	base, delegation := s.baseURL+c.server.prefix, c.server.delegation
	d.GrantType = authorizationCode
	d.AuthorizationURL = base + delegation.authorizePath
	d.RevocationURL = base + delegation.revocationPath
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

// rewriteSecret writes a connection's current secret to its file. The other members
// that an operator wrote are kept.
func (s *Sandbox) rewriteSecret(connection string) error {
	s.files.Lock() // so that the later one of two rotations is kept
	defer s.files.Unlock()
	current := s.Connections()[connection]
	text, err := os.ReadFile(filepath.Join(s.folder, connection+".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return replaceFile(s.folder, connection, current)
	}
	if err != nil {
		return fmt.Errorf("read connection file %s.json: %w", connection, err)
	}
	text, err = withSecret(text, current)
	if err != nil {
		return fmt.Errorf("file %s.json is not a connection: fix it, or delete it to have it written again", connection)
	}
	return replaceFile(s.folder, connection, text)
}

// withSecret returns the file with the client_secret of another one.
func withSecret(file, other []byte) ([]byte, error) {
	var edited, current map[string]json.RawMessage
	if err := json.Unmarshal(file, &edited); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(other, &current); err != nil {
		return nil, err
	}
	if edited == nil {
		return nil, errors.New("the file is null")
	}
	edited["client_secret"] = current["client_secret"]
	return indented(edited), nil
}

// replaceFile writes a connection's file under a temporary name and renames it, so
// that no reader sees an incomplete file.
func replaceFile(folder, connection string, text []byte) error {
	f, err := os.CreateTemp(folder, "."+connection+"-*.tmp") // mode 0600
	if err != nil {
		return fmt.Errorf("write connection file: %w", err)
	}
	defer os.Remove(f.Name()) // it does not exist after the rename
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
