package provider

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

//go:embed catalogue/*.json
var files embed.FS

// catalogue is read on first use, not at start: a warm request does not need it,
// and a cold start consists of initialisation.
var catalogue = sync.OnceValue(read)

// Lookup returns the provider of that name. The maps in it are shared and must
// not be changed.
func Lookup(name string) (Provider, bool) {
	p, ok := catalogue()[name]
	return p, ok
}

// Names returns the names of all providers, sorted.
func Names() []string { return slices.Sorted(maps.Keys(catalogue())) }

// document is a provider's file; durations are in seconds.
type document struct {
	TokenPath             string            `json:"token_path"`
	TokenURL              string            `json:"token_url"`
	AuthorizationURL      string            `json:"authorization_url"`
	ClientAuth            ClientAuth        `json:"client_auth"`
	Scope                 map[string]string `json:"scope"`
	Response              pointers          `json:"response"`
	DefaultExpiresIn      int64             `json:"default_expires_in"`
	RefreshTokenExpiresIn int64             `json:"refresh_token_expires_in"`
	RepeatScope           bool              `json:"repeat_scope"`
	NewTokenRevokesOld    bool              `json:"new_token_revokes_old"`
}

// read panics on an invalid file: the files are part of the program, and the
// tests read them all.
func read() map[string]Provider {
	const dir = "catalogue"
	entries, err := files.ReadDir(dir)
	if err != nil {
		panic(fmt.Sprintf("provider: read the embedded catalogue: %v", err))
	}
	providers := make(map[string]Provider, len(entries))
	for _, entry := range entries {
		p, err := readFile(path.Join(dir, entry.Name()))
		if err != nil {
			panic(fmt.Sprintf("provider: read %s: %v", entry.Name(), err))
		}
		providers[p.Name] = p
	}
	return providers
}

func readFile(file string) (Provider, error) {
	text, err := files.ReadFile(file)
	if err != nil {
		return Provider{}, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var d document
	if err := dec.Decode(&d); err != nil {
		return Provider{}, err
	}
	return d.provider(strings.TrimSuffix(path.Base(file), ".json")), nil
}

func (d document) provider(name string) Provider {
	return Provider{
		Name:               name,
		TokenPath:          d.TokenPath,
		TokenURL:           d.TokenURL,
		AuthorizationURL:   d.AuthorizationURL,
		ClientAuth:         d.ClientAuth,
		Scope:              d.Scope,
		Response:           d.Response.shape(),
		DefaultExpiresIn:   time.Duration(d.DefaultExpiresIn) * time.Second,
		RefreshToken:       RefreshToken{ExpiresIn: time.Duration(d.RefreshTokenExpiresIn) * time.Second},
		Request:            RequestShape{RepeatScope: d.RepeatScope},
		NewTokenRevokesOld: d.NewTokenRevokesOld,
	}
}

type pointers struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   string `json:"expires_in"`
	Success     string `json:"success"`
}

func (p pointers) shape() Shape {
	return Shape{AccessToken: p.AccessToken, TokenType: p.TokenType, ExpiresIn: p.ExpiresIn, Success: p.Success}
}
