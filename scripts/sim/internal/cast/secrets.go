package cast

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// listPage is how many secrets one ListSecrets call returns.
const listPage = 100

// BookConfig says what a Book declares.
type BookConfig struct {
	Connections int
	// Bundle is how many connections one secret holds; up to 1 each has its own.
	Bundle int
	// Declare is the text of connection number n.
	Declare func(n int) string
	// Unlisted leaves every secret out of listings.
	Unlisted bool
}

// Book declares connections and counts what Secrets Manager is asked.
// Connection number n is client number n of its provider. It is safe for
// concurrent use.
type Book struct {
	BookConfig

	mu    sync.Mutex
	texts map[string]redact.Secret
	loads int
	lists int
}

// NewBook returns a Book.
func NewBook(c BookConfig) *Book {
	c.Bundle = max(c.Bundle, 1)
	return &Book{BookConfig: c, texts: map[string]redact.Secret{}}
}

// Declared is the usual declaration of connection number n, whose provider has
// the address.
func Declared(n int, tokenURL string) string {
	return fmt.Sprintf(`{"provider":"oauth2","client_id":%q,"client_secret":"example","token_url":%q}`, ClientID(n), tokenURL)
}

// ClientID is the client id that connection number n declares.
func ClientID(n int) string { return "client-" + strconv.Itoa(n) }

// Number is the inverse of ClientID; -1 when it is none.
func Number(clientID string) int {
	digits, ok := strings.CutPrefix(clientID, "client-")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil {
		return -1
	}
	return n
}

// Name is that of connection number n.
func (b *Book) Name(n int) connection.Name {
	if b.Bundle == 1 {
		return connection.Name(secretName(n))
	}
	return connection.Name(secretName(n/b.Bundle) + "." + member(n))
}

func secretName(n int) string { return fmt.Sprintf("crm-%07d", n) }

func member(n int) string { return fmt.Sprintf("client-%07d", n) }

// Calls are what Secrets Manager was asked: values, and pages of lists.
func (b *Book) Calls() (loads, lists int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.loads, b.lists
}

// Secrets is how many there are.
func (b *Book) Secrets() int { return (b.Connections + b.Bundle - 1) / b.Bundle }

// Load reads a secret. There is no previous version.
func (b *Book) Load(_ context.Context, name string, stage clientsecret.Stage, _ bool) (clientsecret.Secret, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.loads++
	digits, _ := strings.CutPrefix(name, "crm-")
	n, err := strconv.Atoi(digits)
	if err != nil || n < 0 || n >= b.Secrets() || stage != clientsecret.Current {
		return clientsecret.Secret{}, clientsecret.ErrNotFound
	}
	text, ok := b.texts[name]
	if !ok {
		text = redact.New(b.text(n))
		b.texts[name] = text
	}
	v := version(n)
	return clientsecret.Secret{Name: name, ARN: v.ARN, VersionID: v.VersionID, Text: text, Origin: "secret " + name}, nil
}

func (b *Book) text(secret int) string {
	if b.Bundle == 1 {
		return b.Declare(secret)
	}
	var text strings.Builder
	text.WriteString(`{"connections":`)
	separator := byte('{')
	for n := secret * b.Bundle; n < min((secret+1)*b.Bundle, b.Connections); n++ {
		text.WriteByte(separator)
		fmt.Fprintf(&text, "%q:%s", member(n), b.Declare(n))
		separator = ','
	}
	text.WriteString("}}")
	return text.String()
}

// version is in the form that Secrets Manager has, for the ledger keeps it.
func version(n int) clientsecret.Version {
	return clientsecret.Version{
		Name: secretName(n), VersionID: fmt.Sprintf("00000000-0000-4000-8000-%012d", n),
		ARN: "arn:aws:secretsmanager:us-east-1:111122223333:secret:tokenvend/" + secretName(n) + "-AbCdEf",
	}
}

// Versions lists secrets from the one that next names.
func (b *Book) Versions(_ context.Context, limit int, next string) ([]clientsecret.Version, string, error) {
	from := 0
	if next != "" {
		var err error
		if from, err = strconv.Atoi(next); err != nil {
			return nil, "", clientsecret.ErrBadCursor
		}
	}
	to := min(from+limit, b.Secrets())
	var found []clientsecret.Version
	for n := from; n < to && !b.Unlisted; n++ {
		found = append(found, version(n))
	}
	b.mu.Lock()
	b.lists += max((to-from+listPage-1)/listPage, 1)
	b.mu.Unlock()
	if to == b.Secrets() || b.Unlisted {
		return found, "", nil
	}
	return found, strconv.Itoa(to), nil
}
