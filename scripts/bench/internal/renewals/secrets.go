package renewals

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/directory"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// listPage is how many secrets one ListSecrets call returns.
const listPage = 100

// secrets has a secret for each connection of a service, and counts what is
// asked of Secrets Manager. It has no list for people.
type secrets struct {
	*service
	directory.Lister
}

func secretName(n int) string { return fmt.Sprintf("crm-%07d", n) }

// number is the inverse of secretName, and of the client id, which is alike.
func number(name string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(name, "crm-"))
	if err != nil {
		panic("not a name of this simulation: " + name)
	}
	return n
}

// Load implements clientsecret.Loader. There is no previous version.
func (s secrets) Load(_ context.Context, name string, stage clientsecret.Stage, _ bool) (clientsecret.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	if stage != clientsecret.Current {
		return clientsecret.Secret{}, clientsecret.ErrNotFound
	}
	n := number(name)
	v := version(n)
	text := fmt.Sprintf(`{"provider":"oauth2","client_id":%q,"client_secret":"example","token_url":"https://idp-%d.example.com/token"}`, name, n%s.hosts)
	return clientsecret.Secret{Name: name, ARN: v.ARN, VersionID: v.VersionID, Text: redact.New(text), Origin: "secret " + name}, nil
}

// version is as long as a real one, because the renewer stores it.
func version(n int) clientsecret.Version {
	name := secretName(n)
	return clientsecret.Version{Name: name, VersionID: fmt.Sprintf("00000000-0000-4000-8000-%012d", n),
		ARN: "arn:aws:secretsmanager:us-east-1:111122223333:secret:tokenvend/" + name + "-AbCdEf"}
}

// Versions implements renewal.Versions.
func (s secrets) Versions(_ context.Context, limit int, next string) ([]clientsecret.Version, string, error) {
	from := 0
	if next != "" {
		from = number(next)
	}
	to := min(from+limit, s.connections)
	var found []clientsecret.Version
	for n := from; n < to; n++ {
		found = append(found, version(n))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pages += (to - from + listPage - 1) / listPage
	if to == s.connections {
		return found, "", nil
	}
	return found, secretName(to), nil
}
