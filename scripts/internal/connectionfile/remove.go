package connectionfile

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/strictjson"
	"github.com/tokenvend/tokenvend/scripts/internal/prompt"
)

// Removal removes the declaration of one connection. Every field is required.
type Removal struct {
	Name   connection.Name
	Target Target
	Prompt *prompt.Prompt
	Out    io.Writer
}

// Run removes the declaration after the operator has confirmed. The last member of a
// bundle takes the bundle with it.
func (r Removal) Run(ctx context.Context) error {
	stored, err := r.Target.Read(ctx, r.Name.Secret())
	if err != nil {
		return err
	}
	rest, isLast, err := r.rest(stored)
	if err != nil {
		return err
	}
	question := "The member is removed from " + stored.Where + "; its other members do not change."
	if isLast {
		question = "This deletes " + stored.Where + "; " + stored.Afterwards + "."
	}
	if err := r.Prompt.ConfirmName(ctx, question, string(r.Name)); err != nil {
		return err
	}
	if isLast {
		err = stored.Delete(ctx)
	} else {
		err = stored.Put(ctx, rest)
	}
	if err != nil {
		return fmt.Errorf("remove %s from %s: %w", r.Name, stored.Where, err)
	}
	fmt.Fprintf(r.Out, "%s is removed. Within a minute its callers get 404.\n", r.Name)
	return nil
}

// rest returns the text without the connection, and whether nothing else is in it.
func (r Removal) rest(stored Stored) (rest redact.Secret, isLast bool, err error) {
	if stored.Text == nil {
		return rest, false, fmt.Errorf("there is no connection %s: %s does not exist", r.Name, stored.Where)
	}
	name, isMember := r.Name.Member()
	members, isBundle, err := bundleMembers(*stored.Text)
	switch {
	case err != nil && isMember:
		return rest, false, fmt.Errorf("%s is not valid JSON (%w); fix it first", stored.Where, err)
	case isBundle && !isMember:
		return rest, false, fmt.Errorf("%s is a bundle; remove a member of it, as %s.MEMBER", stored.Where, r.Name)
	case !isMember:
		return rest, true, nil
	}
	others := slices.DeleteFunc(slices.Clone(members), func(m strictjson.Member) bool { return m.Name == name })
	if len(others) == len(members) {
		return rest, false, fmt.Errorf("there is no connection %s: %s has no such member", r.Name, stored.Where)
	}
	return bundle(others), len(others) == 0, nil
}
