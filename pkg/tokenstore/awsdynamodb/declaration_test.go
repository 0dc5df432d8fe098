package awsdynamodb_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// validRecord returns a stored record of the connection crm, with changes; a nil
// value removes an attribute.
func validRecord(changes attributes) attributes {
	item := attributes{
		"pk": str("declaration/crm"), "sk": str("declaration"), "schema": num("1"), "version": num("2"),
		"record": bin("text"), "renew_slot": str("record/0"),
	}
	maps.Copy(item, changes)
	maps.DeleteFunc(item, func(_ string, v types.AttributeValue) bool { return v == nil })
	return item
}

// batched returns the answer to a BatchGetItem with these items, and with keys left
// unprocessed.
func batched(t *testing.T, items []attributes, unprocessed ...attributes) answer {
	t.Helper()
	all := make([]any, len(items))
	for i := range items {
		all[i] = wire(t, items[i])
	}
	members := map[string]any{"Responses": map[string]any{"tokens": all}, "UnprocessedKeys": map[string]any{}}
	if len(unprocessed) > 0 {
		keys := make([]any, len(unprocessed))
		for i := range unprocessed {
			keys[i] = wire(t, unprocessed[i])
		}
		members["UnprocessedKeys"] = map[string]any{"tokens": map[string]any{"Keys": keys, "ConsistentRead": true}}
	}
	return framed(t, 200, members)
}

// requestedKeys returns the primary keys that a BatchGetItem requests, and whether it
// reads consistently.
func requestedKeys(t *testing.T, r request) (keys []string, consistent bool) {
	t.Helper()
	tables, _ := r.members["RequestItems"].(map[string]any)
	table, _ := tables["tokens"].(map[string]any)
	all, _ := table["Keys"].([]any)
	for _, one := range all {
		key, _ := one.(map[string]any)
		pk, _ := key["pk"].(map[string]any)
		sk, _ := key["sk"].(map[string]any)
		keys = append(keys, fmt.Sprint(pk["S"], " ", sk["S"]))
	}
	consistent, _ = table["ConsistentRead"].(bool)
	return keys, consistent
}

var (
	recordKey = attributes{"pk": str("declaration/crm"), "sk": str("declaration")}
	crmRecord = tokenstore.DeclarationRecord{Connection: "crm", Version: 2, Sealed: []byte("text")}
)

// A vend is one round trip, also with the record.
func TestGetWithDeclaration_isOneRequest(t *testing.T) {
	for _, consistent := range []bool{false, true} {
		// The table answers in no particular order.
		table, script := scripted(t, batched(t, []attributes{validRecord(nil), under(crm, valid())}))
		item, record, err := table.GetWithDeclaration(t.Context(), crm, consistent)
		if err != nil || item.Version != 7 {
			t.Errorf("item of version %d, %v", item.Version, err)
		}
		if d := cmp.Diff(crmRecord, record); d != "" {
			t.Errorf("record (-want +got):\n%s", d)
		}
		if got := script.operations(); got != "BatchGetItem" {
			t.Fatalf("requests %s", got)
		}
		keys, asked := requestedKeys(t, script.requests[0])
		if d := cmp.Diff([]string{"connection/crm token", "declaration/crm declaration"}, keys); d != "" || asked != consistent {
			t.Errorf("consistent %t, keys (-want +got):\n%s", asked, d)
		}
	}
}

func TestReadDeclarations_requests100AtATime(t *testing.T) {
	table, script := scripted(t, batched(t, nil))
	names := make([]string, 250)
	for i := range names {
		names[i] = fmt.Sprint("crm-", i)
	}
	names[99] = names[0] // the table refuses a repeated key
	if _, err := table.ReadDeclarations(t.Context(), names, false); err != nil {
		t.Fatal(err)
	}
	var got []int
	for _, r := range script.requests {
		keys, _ := requestedKeys(t, r)
		got = append(got, len(keys))
	}
	if d := cmp.Diff([]int{99, 100, 50}, got); d != "" {
		t.Errorf("keys by request (-want +got):\n%s", d)
	}
}

func TestUnprocessedKeys_CR31(t *testing.T) {
	both := []attributes{under(crm, nil), recordKey}
	for _, tc := range []struct {
		name    string
		answers func(*testing.T) []answer
		// second are the keys of the second request; there is never a third.
		second []string
		want   error
	}{
		{"the record is left, and comes at once", func(t *testing.T) []answer {
			return []answer{batched(t, []attributes{under(crm, valid())}, recordKey), batched(t, []attributes{validRecord(nil)})}
		}, []string{"declaration/crm declaration"}, nil},
		{"the item is left, and comes at once", func(t *testing.T) []answer {
			return []answer{batched(t, []attributes{validRecord(nil)}, under(crm, nil)), batched(t, []attributes{under(crm, valid())})}
		}, []string{"connection/crm token"}, nil},
		{"the record is left twice", func(t *testing.T) []answer {
			return []answer{batched(t, []attributes{under(crm, valid())}, recordKey), batched(t, nil, recordKey)}
		}, []string{"declaration/crm declaration"}, tokenstore.ErrThrottled},
		{"both are left twice", func(t *testing.T) []answer {
			return []answer{batched(t, nil, both...)}
		}, []string{"connection/crm token", "declaration/crm declaration"}, tokenstore.ErrThrottled},
	} {
		t.Run(tc.name, func(t *testing.T) {
			table, script := scripted(t, tc.answers(t)...)
			item, record, err := table.GetWithDeclaration(t.Context(), crm, true)
			if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
				t.Fatalf("%v, want %v", err, tc.want)
			}
			if err == nil && (item.Version != 7 || record.Version != 2) {
				t.Errorf("versions %d and %d, want 7 and 2", item.Version, record.Version)
			}
			if got := script.operations(); got != "BatchGetItem BatchGetItem" {
				t.Fatalf("requests %s", got)
			}
			keys, consistent := requestedKeys(t, script.requests[1])
			if d := cmp.Diff(tc.second, keys); d != "" || !consistent {
				t.Errorf("consistent %t, keys (-want +got):\n%s", consistent, d)
			}
		})
	}
	t.Run("records are left twice", func(t *testing.T) {
		table, _ := scripted(t, batched(t, nil, recordKey))
		if got, err := table.ReadDeclarations(t.Context(), []string{"crm"}, false); !errors.Is(err, tokenstore.ErrThrottled) || got != nil {
			t.Errorf("%v, %v, want ErrThrottled and no record", got, err)
		}
	})
}

func TestCorruptItemBesideItsRecord(t *testing.T) {
	joe := tokenstore.Key{Connection: "crm", Subject: "joe"}
	for _, tc := range []struct {
		name  string
		key   tokenstore.Key
		grant bool
	}{
		{"BI-72 an item", crm, false},
		{"BI-72 an item that holds a grant", joe, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			corrupt := under(tc.key, with(attributes{"expires_at": str("soon")}))
			table, _ := scripted(t, batched(t, []attributes{corrupt, validRecord(nil)}))
			item, record, err := table.GetWithDeclaration(t.Context(), tc.key, false)
			if !errors.Is(err, tokenstore.ErrCorrupt) || errors.Is(err, tokenstore.ErrGrantCorrupt) != tc.grant {
				t.Errorf("%v, want ErrCorrupt, of a grant: %t", err, tc.grant)
			}
			if d := cmp.Diff(tokenstore.Item{Key: tc.key}, item); d != "" {
				t.Errorf("item (-want +got):\n%s", d)
			}
			if d := cmp.Diff(crmRecord, record); d != "" {
				t.Errorf("record (-want +got):\n%s", d)
			}
		})
	}
}

// corruptRecords are records as a table writer can leave them.
var corruptRecords = []struct {
	name    string
	changes attributes
	// version is what a write must name to replace the record.
	version int64
}{
	{"BI-72 no text", attributes{"record": nil}, 2},
	{"BI-72 the text is a string", attributes{"record": str("text")}, 2},
	{"BI-72 the ttl is a string", attributes{"ttl": str("soon")}, 2},
	{"BI-72 the ttl is negative", attributes{"ttl": num("-1")}, 2},
	{"BI-72 no schema", attributes{"schema": nil}, 2},
	{"FI-48 a newer schema", attributes{"schema": num("2")}, 2},
	{"BI-72 no version", attributes{"version": nil}, 0},
	{"BI-72 the version is a string", attributes{"version": str("2")}, 0},
	{"BI-72 the version is null", attributes{"version": null()}, 0},
	{"BI-75 the version is zero", attributes{"version": num("0")}, 0},
	{"BI-75 the version is negative", attributes{"version": num("-1")}, 0},
	{"BI-75 the version overflows", attributes{"version": num("9223372036854775808")}, 0},
	{"BI-75 the version is about to overflow", attributes{"version": num("9223372036854775807")}, 0},
	{"BI-75 the version is huge", attributes{"version": num("1" + strings.Repeat("0", 60))}, 0},
	{"BI-75 the version is not an integer", attributes{"version": num("7.5")}, 7},
	{"BI-75 the version is below one", attributes{"version": num("0.5")}, 0},
}

func TestCorruptDeclaration(t *testing.T) {
	for _, tc := range corruptRecords {
		t.Run(tc.name, func(t *testing.T) {
			table, _ := scripted(t, batched(t, []attributes{validRecord(tc.changes), under(crm, valid())}))
			item, record, err := table.GetWithDeclaration(t.Context(), crm, true)
			if err != nil || item.Version != 7 {
				t.Errorf("item of version %d, %v", item.Version, err)
			}
			if d := cmp.Diff(tokenstore.DeclarationRecord{Connection: "crm", Version: tc.version}, record); d != "" {
				t.Errorf("record (-want +got):\n%s", d)
			}
		})
	}
}

// On an engine, the next write replaces any corrupt record, and lists it again.
func TestCorruptDeclaration_isReplaced(t *testing.T) {
	e := newEngine(t)
	for i, tc := range corruptRecords {
		t.Run(tc.name, func(t *testing.T) {
			name := fmt.Sprint("crm-", i)
			item := validRecord(tc.changes)
			item["pk"] = str("declaration/" + name)
			delete(item, "renew_slot")
			if _, err := e.client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: &e.table, Item: item}); err != nil {
				t.Fatal(err)
			}
			read, err := e.store().ReadDeclarations(t.Context(), []string{name}, true)
			if err != nil || read[0].Version != tc.version || read[0].Sealed != nil {
				t.Fatalf("read %+v, %v, want version %d and no text", read, err, tc.version)
			}
			// A writer that read another version does not replace it.
			stale := tokenstore.DeclarationRecord{Connection: name, Version: tc.version + 1, Sealed: []byte("stale")}
			if got, err := e.store().WriteDeclaration(t.Context(), stale); !errors.Is(err, tokenstore.ErrSuperseded) {
				t.Fatalf("WriteDeclaration: %+v, %v, want ErrSuperseded", got, err)
			}
			read[0].Sealed = []byte("new")
			if _, err := e.store().WriteDeclaration(t.Context(), read[0]); err != nil {
				t.Fatalf("WriteDeclaration: %v", err)
			}
			want := tokenstore.DeclarationRecord{Connection: name, Version: tc.version + 1, Sealed: []byte("new")}
			got, err := e.store().ReadDeclarations(t.Context(), []string{name}, true)
			if d := cmp.Diff([]tokenstore.DeclarationRecord{want}, got); d != "" || err != nil {
				t.Errorf("stored: %v (-want +got):\n%s", err, d)
			}
		})
	}
	var listed []string
	for shard := range 4 {
		names, next, err := e.store().DeclaredConnections(t.Context(), shard, "")
		if err != nil || next != "" {
			t.Fatalf("DeclaredConnections: %q, %v", next, err)
		}
		listed = append(listed, names...)
	}
	if len(listed) != len(corruptRecords) {
		t.Errorf("%d listed, want %d: %v", len(listed), len(corruptRecords), listed)
	}
}

func TestLostResponseOfADeclaration(t *testing.T) {
	w := tokenstore.DeclarationRecord{Connection: "crm", Version: 1, Sealed: []byte("text")}
	for _, tc := range []struct {
		name    string
		current attributes
		want    tokenstore.DeclarationRecord
		err     error
	}{
		{"CR-36 the write was applied", validRecord(nil), crmRecord, nil},
		{"CR-36 another write", validRecord(attributes{"record": bin("other")}),
			tokenstore.DeclarationRecord{Connection: "crm", Version: 2, Sealed: []byte("other")}, tokenstore.ErrSuperseded},
		{"CR-36 a later write of the same text", validRecord(attributes{"version": num("3")}),
			tokenstore.DeclarationRecord{Connection: "crm", Version: 3, Sealed: []byte("text")}, tokenstore.ErrSuperseded},
		{"CR-36 a deleted record", nil, tokenstore.DeclarationRecord{Connection: "crm"}, tokenstore.ErrSuperseded},
		{"BI-72 a corrupt record", validRecord(attributes{"schema": num("2")}),
			tokenstore.DeclarationRecord{Connection: "crm", Version: 2}, tokenstore.ErrSuperseded},
	} {
		present := slices.DeleteFunc([]attributes{tc.current}, func(item attributes) bool { return item == nil })
		for engine, answers := range map[string][]answer{
			"the item comes with the error": {conditionFailed(t, tc.current), batched(t, present)},
			"the item is read":              {conditionFailed(t, nil), batched(t, present)},
		} {
			t.Run(tc.name+", "+engine, func(t *testing.T) {
				table, _ := scripted(t, answers...)
				got, err := table.WriteDeclaration(t.Context(), w)
				if !errors.Is(err, tc.err) || (err == nil) != (tc.err == nil) {
					t.Errorf("%v, want %v", err, tc.err)
				}
				if d := cmp.Diff(tc.want, got); d != "" {
					t.Errorf("returned (-want +got):\n%s", d)
				}
			})
		}
	}
}

func TestWriteDeclaration_readThatFails(t *testing.T) {
	table, _ := scripted(t, conditionFailed(t, nil), batched(t, nil, recordKey))
	got, err := table.WriteDeclaration(t.Context(), crmRecord)
	if !errors.Is(err, tokenstore.ErrThrottled) || errors.Is(err, tokenstore.ErrSuperseded) {
		t.Errorf("%+v, %v, want ErrThrottled", got, err)
	}
}

// The index has keys of this package alone, but a table writer can add others.
func TestDeclaredConnections_foreignEntries(t *testing.T) {
	entry := func(pk, sk string) any {
		return wire(t, attributes{"pk": str(pk), "sk": str(sk), "renew_slot": str("record/1")})
	}
	table, script := scripted(t, framed(t, 200, map[string]any{
		"Items": []any{entry("connection/erp", "token"), entry("declaration/crm", "declaration"), entry("session/s", "session")},
	}))
	names, next, err := table.DeclaredConnections(t.Context(), 1, "")
	if d := cmp.Diff([]string{"crm"}, names); d != "" || next != "" || err != nil {
		t.Errorf("%q, %v, names (-want +got):\n%s", next, err, d)
	}
	if got := script.operations(); got != "Query" {
		t.Errorf("requests %s", got)
	}
	if _, _, err := table.DeclaredConnections(t.Context(), 1, "{"); !errors.Is(err, tokenstore.ErrUnavailable) {
		t.Errorf("an invalid cursor: %v, want ErrUnavailable", err)
	}
	// Nor is a record due, whatever slot a table writer gives it.
	table, _ = scripted(t, framed(t, 200, map[string]any{"Items": []any{entry("declaration/crm", "declaration")}}))
	if keys, _, err := table.Due(t.Context(), "45/7/3", ""); err != nil || len(keys) != 0 {
		t.Errorf("CR-25 due: %v, %v", keys, err)
	}
}

// DynamoDB deletes by the attribute ttl, and lists by renew_slot.
func TestDeclarationAttributes(t *testing.T) {
	e := newEngine(t)
	d := tokenstore.DeclarationRecord{Connection: "crm", Sealed: []byte("text")}
	for i, at := range []time.Time{{}, fromMillis(1767323045678), {}} {
		d.DeleteAfter = at
		var err error
		if d, err = e.store().WriteDeclaration(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		out, err := e.client.GetItem(t.Context(), &dynamodb.GetItemInput{TableName: &e.table, Key: recordKey, ConsistentRead: aws.Bool(true)})
		if err != nil {
			t.Fatal(err)
		}
		want := validRecord(attributes{"version": num(fmt.Sprint(i + 1)), "renew_slot": out.Item["renew_slot"]})
		if !at.IsZero() {
			want["ttl"] = num("1767323045")
		}
		if d := cmp.Diff(wire(t, want), wire(t, out.Item)); d != "" {
			t.Errorf("write %d (-want +got):\n%s", i+1, d)
		}
	}
}
