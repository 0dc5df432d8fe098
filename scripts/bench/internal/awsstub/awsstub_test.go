package awsstub_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/clientsecret/awssecretsmanager"
	"github.com/tokenvend/tokenvend/pkg/config/awsconfig"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/awsdynamodb"
	"github.com/tokenvend/tokenvend/scripts/bench/internal/awsstub"
)

var (
	now = time.UnixMilli(1767323045678).UTC()
	key = tokenstore.Key{Connection: "crm"}
)

// open starts a stub and returns it with the SDK's clients of it.
func open(t *testing.T) (*awsstub.Stub, awsconfig.Config) {
	t.Helper()
	stub, err := awsstub.Start(awsstub.Config{Folder: t.TempDir(), Secrets: map[string]string{"sealing": "text"}, Indexed: "renew_slot"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stub.Close)
	config, err := awsconfig.Load(func(name string) (string, bool) {
		for _, pair := range stub.Environment() {
			if value, ok := strings.CutPrefix(pair, name+"="); ok {
				return value, true
			}
		}
		return "", false
	})
	if err != nil {
		t.Fatal(err)
	}
	return stub, config
}

func TestStoreOverTLS(t *testing.T) {
	stub, config := open(t)
	store := awsdynamodb.New(awsdynamodb.Config{Client: config.DynamoDB(), Table: "tokens"})
	missing, err := store.Get(t.Context(), key, false)
	if err != nil || missing.Version != 0 {
		t.Fatalf("an empty table has %+v: %v", missing, err)
	}
	for seq := int64(1); seq <= 2; seq++ {
		item, err := store.Acquire(t.Context(), tokenstore.Acquire{Key: key, Owner: "me", Now: now, TTL: time.Minute})
		if err != nil || item.Lease.Owner != "me" || item.Lease.Seq != seq {
			t.Fatalf("acquisition %d: %+v: %v", seq, item, err)
		}
		if _, err := store.Commit(t.Context(), commit(item.Version)); err != nil {
			t.Fatal(err)
		}
	}
	item, err := store.Get(t.Context(), key, true)
	if err != nil {
		t.Fatal(err)
	}
	want := commit(0).Token
	if diff := cmp.Diff(want, item.Token); diff != "" || item.Version != 2 || item.Lease.Owner != "" {
		t.Errorf("version %d, lease %+v, token %s", item.Version, item.Lease, diff)
	}
	got := stub.Take()
	got.LargestItem = 0
	// One write more than four: the first commit puts the item into the index.
	if diff := cmp.Diff(awsstub.Traffic{Reads: 1, ConsistentReads: 1, Writes: 4, WriteUnits: 5}, got); diff != "" {
		t.Error(diff)
	}
	if got := stub.Take(); got != (awsstub.Traffic{}) {
		t.Errorf("told twice: %+v", got)
	}
}

func commit(version int64) tokenstore.Commit {
	return tokenstore.Commit{
		Key: key, Owner: "me", Version: version, Generation: "g", RenewSlot: "45/7/0", Now: now,
		Token: tokenstore.Token{ID: "9f86d081884c7d65", Sealed: []byte("sealed"), MintedAt: now, ExpiresAt: now.Add(time.Hour)},
	}
}

func TestSecretOverTLS(t *testing.T) {
	_, config := open(t)
	text, err := awssecretsmanager.ReadText(t.Context(), config.SecretsManager(), "sealing")
	if err != nil || text.Reveal() != "text" {
		t.Errorf("read %v", err)
	}
	if _, err := awssecretsmanager.ReadText(t.Context(), config.SecretsManager(), "other"); err == nil {
		t.Error("a secret that is not there was read")
	}
}

func TestStrangersDistrustIt(t *testing.T) {
	stub, _ := open(t)
	at := slices.IndexFunc(stub.Environment(), func(pair string) bool { return strings.HasPrefix(pair, "AWS_ENDPOINT_URL=") })
	_, url, _ := strings.Cut(stub.Environment()[at], "=")
	if response, err := http.Get(url); err == nil {
		_ = response.Body.Close()
		t.Error("a client that does not know its authority was answered: the handshake proves nothing")
	}
}

// text is a value of that text.
func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func TestUpdates(t *testing.T) {
	for _, tc := range []struct{ name, before, expression, after string }{
		{"assign", "", "SET #a = :a", "a=A"},
		{"assign two", "", "SET #a = :a, #b = :b", "a=A b=B"},
		{"assign and remove", "SET #c = :c, #d = :d", "SET #a = :a REMOVE #c, #d", "a=A"},
		{"remove alone", "SET #a = :a, #b = :b", "REMOVE #b", "a=A"},
		{"default where absent", "", "SET #a = if_not_exists(#a, :b), #c = :c", "a=B c=C"},
		{"default where present", "SET #a = :a", "SET #a = if_not_exists(#a, :b)", "a=A"},
		{"default from another", "SET #a = :a", "SET #c = if_not_exists(#a, :b)", "a=A c=A"},
		{"what the same update assigns does not count yet", "", "SET #a = :a, #b = if_not_exists(#a, :c)", "a=A b=C"},
		{"the item before counts", "SET #a = :a", "SET #b = if_not_exists(#a, :c) REMOVE #a", "b=A"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, config := open(t)
			client := config.DynamoDB()
			if tc.before != "" {
				if _, err := update(t.Context(), client, tc.before); err != nil {
					t.Fatal(err)
				}
			}
			got, err := update(t.Context(), client, tc.expression)
			if err != nil || got != tc.after {
				t.Errorf("%s: %v, want %s", got, err, tc.after)
			}
		})
	}
}

// update applies an expression to an item, and lists its attributes then.
func update(ctx context.Context, client *dynamodb.Client, expression string) (string, error) {
	in := &dynamodb.UpdateItemInput{
		TableName: aws.String("tokens"), Key: map[string]types.AttributeValue{"pk": text("p"), "sk": text("s")},
		UpdateExpression: &expression, ReturnValues: types.ReturnValueAllNew,
		ExpressionAttributeNames: map[string]string{}, ExpressionAttributeValues: map[string]types.AttributeValue{},
	}
	for _, name := range []string{"a", "b", "c", "d"} {
		in.ExpressionAttributeNames["#"+name] = name
		in.ExpressionAttributeValues[":"+name] = text(strings.ToUpper(name))
	}
	out, err := client.UpdateItem(ctx, in)
	if err != nil {
		return "", err
	}
	var all []string
	for name, v := range out.Attributes {
		if name != "pk" && name != "sk" {
			all = append(all, name+"="+v.(*types.AttributeValueMemberS).Value)
		}
	}
	slices.Sort(all)
	return strings.Join(all, " "), nil
}

func TestNotPlayed(t *testing.T) {
	stub, config := open(t)
	client := config.DynamoDB()
	for _, expression := range []string{
		"ADD #a :a", "SET #a = :a ADD #b :b", "REMOVE #a ADD #b :b", "SET #a = list_append(#a, :a)", "SET #a = :a - :b", "nonsense",
		"SET #a = if_not_exists(#a, :a) + :b", // texts do not add up
	} {
		t.Run(expression, func(t *testing.T) {
			if got, err := update(t.Context(), client, expression); err == nil {
				t.Errorf("became %q", got)
			}
		})
	}
	t.Run("another operation", func(t *testing.T) {
		if _, err := client.DeleteItem(t.Context(), &dynamodb.DeleteItemInput{
			TableName: aws.String("tokens"), Key: map[string]types.AttributeValue{"pk": text("p"), "sk": text("s")},
		}); err == nil {
			t.Error("no error")
		}
	})
	if got := stub.Take(); got != (awsstub.Traffic{}) {
		t.Errorf("what was refused was counted: %+v", got)
	}
}

func TestIndexUnits(t *testing.T) {
	stub, config := open(t)
	store := awsdynamodb.New(awsdynamodb.Config{Client: config.DynamoDB(), Table: "tokens"})
	for i, tc := range []struct {
		name, slot string
		units      int
	}{
		{"out of the index", "", 1},
		{"into the index", "45/7/0", 2},
		{"stays where it is", "45/7/0", 1},
		{"moves", "at/1", 3},
		{"leaves the index", "", 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := commit(int64(i))
			c.RenewSlot = tc.slot
			if _, err := store.Commit(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if got := stub.Take().WriteUnits; got != tc.units {
				t.Errorf("%d units, want %d", got, tc.units)
			}
		})
	}
}

func TestSize(t *testing.T) {
	for _, tc := range []struct {
		name, item string
		want       int
	}{
		{"text", `{"name":{"S":"four"}}`, 8},
		{"text counts in bytes", `{"n":{"S":"é"}}`, 3},
		{"binary counts as it is, not as base64", `{"b":{"B":"AAECAw=="}}`, 5},
		{"binary without padding", `{"b":{"B":"AAEC"}}`, 4},
		{"number of one digit", `{"n":{"N":"7"}}`, 3},
		{"instant in milliseconds", `{"n":{"N":"1767323045678"}}`, 9},
		{"zeros at the end are free", `{"n":{"N":"1767300000000"}}`, 5},
		{"zero", `{"n":{"N":"0"}}`, 2},
		{"negative", `{"n":{"N":"-12"}}`, 4},
		{"boolean", `{"used":{"BOOL":true}}`, 5},
		{"null", `{"used":{"NULL":true}}`, 5},
		{"list", `{"l":{"L":[{"S":"ab"},{"N":"1"}]}}`, 1 + 3 + 3 + 3},
		{"several", `{"a":{"S":"b"},"c":{"S":"d"}}`, 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got, err := awsstub.Size(tc.item); err != nil || got != tc.want {
				t.Errorf("%d: %v, want %d", got, err, tc.want)
			}
		})
	}
	for _, unknown := range []string{`{"m":{"M":{}}}`, `{"m":{}}`, `{"l":{"L":[{"M":{}}]}}`, `{"n":{"N":7}}`} {
		if got, err := awsstub.Size(unknown); err == nil {
			t.Errorf("%s is said to be of %d bytes", unknown, got)
		}
	}
}

func TestUnits(t *testing.T) {
	for size, want := range map[int]int{0: 1, 1: 1, 1024: 1, 1025: 2, 2048: 2, 2049: 3} {
		if got := awsstub.Units(size); got != want {
			t.Errorf("%d bytes cost %d, want %d", size, got, want)
		}
	}
}
