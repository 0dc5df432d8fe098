package awsdynamodb_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// TestForcedRefreshesOfAnotherRelease: the principals are stored beside the
// instants, which a release that does not know them reads and replaces.
func TestForcedRefreshesOfAnotherRelease(t *testing.T) {
	first, second := time.UnixMilli(1767323040000).UTC(), time.UnixMilli(1767323041000).UTC()
	none := func(forced ...time.Time) (all []tokenstore.ForcedRefresh) {
		for _, at := range forced {
			all = append(all, tokenstore.ForcedRefresh{At: at})
		}
		return all
	}
	for _, tc := range []struct {
		name string
		item attributes
		want []tokenstore.ForcedRefresh
	}{
		{"CR-23 without principals", attributes{"forced_by": nil}, none(first, second)},
		{"CR-23 with principals of instants that were removed", attributes{"forced_by": list(str("1767323039000/p0"))}, none(first, second)},
		{"CR-23 an instant added without its principal", attributes{"forced_by": list(str("1767323040000/p0"))},
			[]tokenstore.ForcedRefresh{{At: first, By: "p0"}, {At: second}}},
		{"CR-23 no instants are left", attributes{"forced": nil}, nil},
		{"BI-72 the principals are a number", attributes{"forced_by": num("1")}, none(first, second)},
		{"BI-72 a principal is a number", attributes{"forced_by": list(num("1767323041000"), str("1767323041000/p1"))},
			[]tokenstore.ForcedRefresh{{At: first}, {At: second, By: "p1"}}},
		{"BI-72 a principal is empty or has no instant", attributes{"forced_by": list(str("1767323040000/"), str("p1"), str(""))}, none(first, second)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store, _ := scripted(t, found(t, "Item", under(crm, with(tc.item))))
			item, err := store.Get(t.Context(), crm, true)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, item.ForcedRefreshes); d != "" {
				t.Errorf("forced refreshes (-want +got):\n%s", d)
			}
		})
	}
}

// TestForcedRefreshesForAnotherRelease: the instants are stored as they were
// before principals were.
func TestForcedRefreshesForAnotherRelease(t *testing.T) {
	store, script := scripted(t, answer{200, "{}"})
	forced := []tokenstore.ForcedRefresh{{At: now}, {At: now.Add(time.Second), By: "p1"}}
	if err := store.SetForcedRefreshes(t.Context(), crm, nil, forced); err != nil {
		t.Fatal(err)
	}
	values, _ := script.requests[0].members["ExpressionAttributeValues"].(map[string]any)
	for name, want := range map[string]types.AttributeValue{
		":forced":    list(num("1767323045678"), num("1767323046678")),
		":forced_by": list(str("1767323046678/p1")),
	} {
		if d := cmp.Diff(want, parseValue(t, values[name]), sameAttributes); d != "" {
			t.Errorf("CR-23 %s (-want +got):\n%s", name, d)
		}
	}
}
