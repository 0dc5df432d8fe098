package provider

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/tokenvend/tokenvend/pkg/strictjson"
	"github.com/tokenvend/tokenvend/pkg/strictjson/object"
)

//go:generate go test . -run TestReadmeIsGenerated -update

//go:embed catalogue/*.json
var files embed.FS

const folder = "catalogue/"

// entries are the providers that were looked up, by name. Each is read at its first
// use: a warm request needs none, and a cold start needs the one of its connection.
var entries sync.Map

// Lookup returns the provider of that name. The maps in it are shared and must
// not be changed. It panics on an invalid file: the files are part of the program,
// and the tests read them all.
func Lookup(name string) (Provider, bool) {
	if known, ok := entries.Load(name); ok {
		p, _ := known.(Provider)
		return p, true
	}
	text, err := files.ReadFile(folder + name + ".json")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return Provider{}, false
	}
	if err != nil {
		panic(fmt.Sprintf("provider: read the embedded catalogue: %v", err))
	}
	p, err := parse(text, name)
	if err != nil {
		panic(fmt.Sprintf("provider: %s%s.json: %v", folder, name, err))
	}
	entries.Store(name, p)
	return p, true
}

// Entry returns the JSON of the provider of that name, which the catalogue has.
func Entry(name string) ([]byte, bool) {
	if _, known := Lookup(name); !known {
		return nil, false
	}
	text, err := files.ReadFile(folder + name + ".json")
	return text, err == nil
}

// Names returns the names of all providers, sorted.
func Names() []string {
	found, err := files.ReadDir(strings.TrimSuffix(folder, "/"))
	if err != nil {
		panic(fmt.Sprintf("provider: read the embedded catalogue: %v", err))
	}
	names := make([]string, len(found))
	for i, file := range found {
		names[i] = strings.TrimSuffix(file.Name(), ".json")
	}
	slices.Sort(names) // a hyphen is before the dot of a file's name
	return names
}

// parse reads an entry of the catalogue.
func parse(text []byte, name string) (Provider, error) {
	root, err := strictjson.Parse(text)
	if err != nil {
		return Provider{}, err
	}
	members, ok := root.(map[string]any)
	if !ok {
		return Provider{}, errors.New("is not an object")
	}
	var problems []object.Problem
	p := entry(object.New(members, &problems), name)
	for _, problem := range problems {
		err = errors.Join(err, fmt.Errorf("member %q %s", problem.Member, problem.Text))
	}
	return p, err
}
