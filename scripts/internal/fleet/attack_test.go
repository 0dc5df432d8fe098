package fleet_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
)

type item = map[string]fleet.Value

// attacker can write the table, and has no key.
type attacker struct {
	*releases
	client *dynamodb.Client
	table  string
}

func keyOf(kind, connection string) item {
	sort := map[string]string{"connection": "token", "declaration": "declaration"}[kind]
	return item{"pk": fleet.Text(kind + "/" + connection), "sk": fleet.Text(sort)}
}

func (a attacker) read(kind, connection string) item {
	a.t.Helper()
	out, err := a.client.GetItem(a.t.Context(), &dynamodb.GetItemInput{TableName: &a.table, Key: keyOf(kind, connection), ConsistentRead: aws.Bool(true)})
	if err != nil || out.Item == nil {
		a.t.Fatalf("%s of %s: %v, %v", kind, connection, out, err)
	}
	return out.Item
}

// write writes what was read of one connection, or of another, to a connection.
func (a attacker) write(kind, connection string, what item) {
	a.t.Helper()
	for name, value := range keyOf(kind, connection) {
		what[name] = value
	}
	if _, err := a.client.PutItem(a.t.Context(), &dynamodb.PutItemInput{TableName: &a.table, Item: what}); err != nil {
		a.t.Fatal(err)
	}
}

func (a attacker) remove(kind, connection string) {
	a.t.Helper()
	if _, err := a.client.DeleteItem(a.t.Context(), &dynamodb.DeleteItemInput{TableName: &a.table, Key: keyOf(kind, connection)}); err != nil {
		a.t.Fatal(err)
	}
}

// A principal was removed from the callers of a connection. Whoever can write the table
// lets it in for one comparison at most, by a former record.
func TestTableWriter_AZ52_CR21(t *testing.T) {
	f := start(t)
	client, table := f.Table()
	r := &releases{Fleet: f, t: t, number: 10}
	for i, tc := range []struct {
		name   string
		attack func(a attacker, connection string, record, token item)
		// before and after the sweep.
		before, after string
	}{
		{"nothing", func(attacker, string, item, item) {}, "403 access_denied", "403 access_denied"},
		{"a former record", func(a attacker, name string, record, _ item) { a.write("declaration", name, record) }, "200", "403 access_denied"},
		{"a former token", func(a attacker, name string, _, token item) { a.write("connection", name, token) }, "403 access_denied", "403 access_denied"},
		{"no record", func(a attacker, name string, _, _ item) { a.remove("declaration", name) }, "403 access_denied", "403 access_denied"},
		{"no record, and a former token", func(a attacker, name string, _, token item) {
			a.remove("declaration", name)
			a.write("connection", name, token)
		}, "403 access_denied", "403 access_denied"},
		{"the record of an open connection", func(a attacker, name string, _, _ item) {
			a.write("declaration", name, a.read("declaration", "open"))
		}, "403 access_denied", "403 access_denied"},
		{"the token of an open connection", func(a attacker, name string, _, _ item) {
			a.write("connection", name, a.read("connection", "open"))
		}, "403 access_denied", "403 access_denied"},
		{"a record that expires", func(a attacker, name string, _, _ item) {
			now := a.read("declaration", name)
			now["ttl"] = fleet.Millis(time.UnixMilli(1))
			a.write("declaration", name, now)
		}, "403 access_denied", "403 access_denied"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r.t = t
			a, name := attacker{r, client, table}, fmt.Sprintf("app-%d", i)
			r.register(name, false)
			if i == 0 {
				r.register("open", false)
				r.deployThis().token("/connections/open", "200")
			}
			this := r.deployThis()
			this.token("/connections/"+name, "200")
			record, token := a.read("declaration", name), a.read("connection", name)
			r.declare(name, "arn:aws:iam::111122223333:role/admin")
			this.tick()
			tc.attack(a, name, record, token)
			r.deployThis().token("/connections/"+name, tc.before)
			tc.attack(a, name, record, token)
			r.deployThis().tick()
			r.deployThis().token("/connections/"+name, tc.after)
		})
	}
	for _, v := range violations(t, f) {
		t.Error(v)
	}
}

// The end of a token's life is sealed with it; the attribute beside it is for the index.
func TestTableWriterLengthensALife_BI73(t *testing.T) {
	f := start(t)
	r := &releases{Fleet: f, t: t, number: 10}
	r.register("app", false)
	served := r.deployThis().token("/connections/app", "200")
	if err := f.Change(t.Context(), "app", item{"expires_at": fleet.Millis(time.Now().Add(1000 * time.Hour))}); err != nil {
		t.Fatal(err)
	}
	if got := r.deployThis().token("/connections/app", "200"); got.ExpiresAt.After(served.ExpiresAt.Add(time.Second)) {
		t.Errorf("the life ends at %v, want %v", got.ExpiresAt, served.ExpiresAt)
	}
	for _, v := range violations(t, f) {
		t.Error(v)
	}
}
