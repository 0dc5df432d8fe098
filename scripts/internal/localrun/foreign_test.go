package localrun_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/sandbox"
)

// foreign is an authorization server that is not part of the run.
type foreign struct {
	*sandbox.Sandbox
	url string
}

func newForeign(t *testing.T) foreign {
	return newForeignAt(t, time.Now)
}

// newForeignAt is newForeign with a clock.
func newForeignAt(t *testing.T, now func() time.Time) foreign {
	f := foreign{Sandbox: sandbox.New(sandbox.Config{Now: now, LocalRedirects: true})}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.url = server.URL
	f.SetBaseURL(server.URL)
	return f
}

// clientKeys has one key of each kind that a connection may have.
func clientKeys(t *testing.T) map[string]crypto.Signer {
	t.Helper()
	rsaKey, err1 := rsa.GenerateKey(rand.Reader, 2048)
	p256, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p384, err3 := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, ed, err4 := ed25519.GenerateKey(rand.Reader)
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return map[string]crypto.Signer{"rsa": rsaKey, "p256": p256, "p384": p384, "ed25519": ed}
}

// TestForeignServer uses the operator's own connections at another server: each client
// authentication method, in a file and as a bundle member.
func TestForeignServer(t *testing.T) {
	f, folder := newForeign(t), t.TempDir()
	r := &running{t: t} // controls the server before the run starts
	for name, method := range map[string]string{
		"post": "client_secret_post", "basic": "client_secret_basic", "raw": "client_secret_basic_raw",
		"jwt": "private_key_jwt", "none": "none",
	} {
		r.pull(f.url, "PUT", name, `{"client_auth":"`+method+`","scopes":["read","write"]}`)
	}
	for name, key := range clientKeys(t) {
		if err := f.Register(sandbox.Client{Connection: "jwt-" + name, ClientAuth: provider.PrivateKeyJWT, Key: key, KeyID: name}); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	members := map[string]json.RawMessage{}
	for name, file := range f.Connections() {
		if server := declaredProvider(t, file); server == "oauth2" {
			names = append(names, name)
			members[name] = file
			write(t, folder, name, string(file))
		}
	}
	bundle, err := json.Marshal(map[string]any{"connections": members})
	if err != nil {
		t.Fatal(err)
	}
	write(t, folder, "bundle", string(bundle))
	if len(names) != 9 {
		t.Fatalf("%d clients, want 9", len(names))
	}
	r = start(t, folder)
	for _, name := range names {
		for _, connection := range []string{name, "bundle." + name} {
			t.Run("OC-05 "+connection, func(t *testing.T) {
				if got := r.vend(connection); !r.opens(f.url, "oauth2", got) {
					t.Error("the resource refuses the token")
				}
			})
		}
		if n := f.TokenRequests(name); n != 2 {
			t.Errorf("OC-05 %s: %d token requests for two connections, want 2: nothing is probed", name, n)
		}
	}
	if got := r.ask("local", "GET", "/connections/bundle/token", ""); got.status != 404 {
		t.Errorf("a bundle's own name: %d %v", got.status, got.body)
	}
	if strangers := f.UnknownClients(); strangers.Total != 0 {
		t.Errorf("OC-05 %d requests named no client", strangers.Total)
	}
}

func declaredProvider(t *testing.T, file []byte) string {
	t.Helper()
	var declared struct{ Provider string }
	if err := json.Unmarshal(file, &declared); err != nil {
		t.Fatal(err)
	}
	return declared.Provider
}
