package keyrotation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tokenvend/tokenvend/scripts/internal/secretwriter"
)

// Reset replaces a keyset whose keys are permanently lost. Every key that a stored
// item names gets a new value under its old name. The service then treats what the
// old key sealed as corrupt (mint or consent again) instead of temporarily
// unreadable (503).
func (r Rotation) Reset(ctx context.Context) error {
	version, err := r.Editor.Read(ctx, r.Secret)
	if errors.Is(err, secretwriter.ErrNotFound) {
		return fmt.Errorf("the keyset: %w; restore the secret first, or deploy the stack to create it", err)
	}
	if err != nil {
		return fmt.Errorf("the keyset: %w", err)
	}
	uses, err := r.uses(ctx)
	if err != nil {
		return fmt.Errorf("read the names of the keys in use: %w", err)
	}
	after, err := r.regenerated(ctx, version, uses)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.Out, "New keys are generated under these names: %s. Everything sealed with the old keys becomes permanently unreadable, including grants.\n", strings.Join(after.ids(), ", "))
	if err := r.Prompt.ConfirmName(ctx, "", "lost"); err != nil {
		return err
	}
	if err := r.write(ctx, state{version: version}, after); err != nil {
		return fmt.Errorf("replace the keyset: %w", err)
	}
	fmt.Fprintln(r.Out, "The keyset is replaced. Deploy a change of the functions now: running functions still use the old one.")
	return nil
}

// regenerated returns new keys under every name that the keyset or the table uses.
func (r Rotation) regenerated(ctx context.Context, version secretwriter.Version, uses map[string]Use) (keyset, error) {
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
