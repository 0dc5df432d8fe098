package rotation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tokenvend/tokenvend/scripts/internal/secretwriter"
)

// Begin makes a keyset anew whose keys are lost for good. Every key that
// something stored names gets a new text under its old name: what is sealed with
// the old one is then damaged to the service, which mints such tokens anew and
// asks for consent again, and not unreadable for the moment, which it would wait
// for without end.
func (r Rotation) Begin(ctx context.Context) error {
	version, err := r.Editor.Read(ctx, r.Secret)
	if errors.Is(err, secretwriter.ErrNotFound) {
		return fmt.Errorf("the keyset: %w; bring the secret back first, with restore-secret or by deploying the stack", err)
	}
	if err != nil {
		return fmt.Errorf("the keyset: %w", err)
	}
	uses, err := r.uses(ctx)
	if err != nil {
		return fmt.Errorf("look for the keys that are named: %w", err)
	}
	anew, err := r.anew(ctx, version, uses)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.Out, "Keys are made anew under these names: %s. Whatever is sealed with the old ones can never be read again, grants among it.\n", strings.Join(anew.ids(), ", "))
	if err := r.Asker.Type("", "lost"); err != nil {
		return err
	}
	if err := r.write(ctx, state{version: version}, anew); err != nil {
		return fmt.Errorf("begin anew: %w", err)
	}
	fmt.Fprintln(r.Out, "The keyset is new. Deploy a change of the functions now: those that run still know the old one.")
	return nil
}

// anew is a keyset of new keys, under every name that is in use or in the keyset.
func (r Rotation) anew(ctx context.Context, version secretwriter.Version, uses map[string]Use) (keyset, error) {
	names := map[string]bool{"k1": true}
	for id := range uses {
		names[id] = true
	}
	if old, err := parse(ctx, version.Text); err == nil {
		for _, id := range old.ids() {
			names[id] = true
		}
	}
	k := keyset{}
	for _, id := range slices.Sorted(maps.Keys(names)) {
		var err error
		if k, err = k.withKey(id, r.Rand); err != nil {
			return keyset{}, err
		}
	}
	ids := k.ids()
	return k.with(primaryMember, ids[len(ids)-1]), nil
}
