package awsdynamodb

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// Forced refreshes are stored in two lists. attrForcedRefreshes has the instants,
// and a release that counts these alone can read and replace it. attrForcedBy has
// "instant/principal" for each one whose principal is known. An entry without its
// instant in the first list does not count.

// putForcedRefreshes replaces both lists.
func putForcedRefreshes(u *update, forced []tokenstore.ForcedRefresh) {
	var at, by []types.AttributeValue
	for _, f := range forced {
		at = append(at, instant(f.At))
		if f.By != "" {
			by = append(by, text(forcedBy(f.At)+f.By))
		}
	}
	putList(u, attrForcedRefreshes, at)
	putList(u, attrForcedBy, by)
}

func putList(u *update, name string, list []types.AttributeValue) {
	if len(list) == 0 {
		u.unset(name)
		return
	}
	u.assign(name, &types.AttributeValueMemberL{Value: list})
}

func forcedBy(at time.Time) string { return strconv.FormatInt(at.UnixMilli(), 10) + "/" }

// requireForcedRefreshes requires the refreshes that were read. It compares their
// number, and the instants of the first and the last, because not every engine
// compares lists; an addition or a removal in between changes one of the three.
func requireForcedRefreshes(u *update, was []tokenstore.ForcedRefresh) {
	if len(was) == 0 {
		u.require("attribute_not_exists(#forced)")
		return
	}
	u.require(fmt.Sprintf("size(#forced) = :size AND #forced[0] = :first AND #forced[%d] = :last", len(was)-1))
	u.value(":size", number(int64(len(was))))
	u.value(":first", instant(was[0].At))
	u.value(":last", instant(was[len(was)-1].At))
}

// forcedRefreshes reads both lists. A corrupt list of principals leaves them
// unknown: the next rejection replaces it, and nothing else depends on it.
func (r *reader) forcedRefreshes() []tokenstore.ForcedRefresh {
	v, ok := attribute[*types.AttributeValueMemberL](r, attrForcedRefreshes)
	if !ok {
		return nil
	}
	by := (&reader{found: r.found}).texts(attrForcedBy)
	inner := &reader{found: make(attributes, 1)}
	var all []tokenstore.ForcedRefresh
	for _, raw := range v.Value {
		inner.found[attrForcedRefreshes] = raw
		f := tokenstore.ForcedRefresh{At: inner.instant(attrForcedRefreshes)}
		f.By, by = takeForcedBy(by, f.At)
		all = append(all, f)
	}
	if len(inner.bad) > 0 {
		r.fault(attrForcedRefreshes)
		return nil
	}
	return all
}

// takeForcedBy returns the principal of the refresh at an instant, and the
// entries that are left for the others.
func takeForcedBy(by []string, at time.Time) (string, []string) {
	prefix := forcedBy(at)
	for i, entry := range by {
		if len(entry) > len(prefix) && entry[:len(prefix)] == prefix {
			return entry[len(prefix):], slices.Delete(by, i, i+1)
		}
	}
	return "", by
}

// texts reads the strings of a list and ignores what else it contains.
func (r *reader) texts(name string) []string {
	v, ok := attribute[*types.AttributeValueMemberL](r, name)
	if !ok {
		return nil
	}
	var all []string
	for _, raw := range v.Value {
		if s, ok := raw.(*types.AttributeValueMemberS); ok {
			all = append(all, s.Value)
		}
	}
	return all
}
