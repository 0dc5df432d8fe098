package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tokenvend/tokenvend/scripts/internal/keyrotation"
)

// keysetFlags say which keyset a command is about.
type keysetFlags struct {
	Secret  string `placeholder:"ID" help:"The keyset's secret by name or ARN, instead of --stack; needs --table."`
	Table   string `placeholder:"NAME" help:"The table whose items the keyset seals, instead of --stack."`
	Consent bool   `help:"Use the keyset of the public consent pages, which seals nothing in the table."`
}

// rotation returns the rotation of the keyset that the flags or --stack name.
func (f keysetFlags) rotation(ctx context.Context, s *session) (keyrotation.Rotation, error) {
	if err := f.check(s.Stack); err != nil {
		return keyrotation.Rotation{}, err
	}
	account, err := f.resolve(ctx, s)
	if err != nil {
		return keyrotation.Rotation{}, err
	}
	r := keyrotation.Rotation{Editor: editor(account), Secret: f.Secret, Now: s.Now, Prompt: s.prompt, Out: s.Out}
	if !f.Consent {
		table := dynamodb.NewFromConfig(account)
		r.Uses = func(ctx context.Context) (map[string]keyrotation.Use, error) {
			defer s.progress.Done()
			return keyrotation.CountUses(ctx, table, f.Table, func(items int) { s.progress.Show("%d items read", items) })
		}
	}
	return r, nil
}

func (f keysetFlags) check(stack string) error {
	switch {
	case stack != "" && (f.Secret != "" || f.Table != ""):
		return usage("--stack excludes --secret and --table")
	case f.Consent && f.Table != "":
		return usage("the keyset of the consent pages seals nothing in the table; omit --table")
	case stack == "" && (f.Secret == "" || f.Table == "" && !f.Consent):
		return usage("name the keyset with --stack, or with --secret and --table")
	}
	return nil
}

// resolve completes the flags with the outputs of the stack.
func (f *keysetFlags) resolve(ctx context.Context, s *session) (aws.Config, error) {
	if s.Stack == "" {
		return s.account(ctx)
	}
	account, deployed, err := s.deployment(ctx)
	if err != nil {
		return aws.Config{}, err
	}
	f.Secret, f.Table = deployed.SealingKeyset(), deployed.Table()
	if f.Consent {
		f.Secret = deployed.ConsentKeyset()
	}
	return account, nil
}

// keysetStatusCommand shows the keys.
type keysetStatusCommand struct{ keysetFlags }

// Run prints the keys.
func (c keysetStatusCommand) Run(ctx context.Context, s *session) error {
	r, err := c.rotation(ctx, s)
	if err != nil {
		return err
	}
	status, err := r.Status(ctx)
	if err != nil {
		return err
	}
	if s.Output == jsonOutput {
		return printJSON(s.Out, status)
	}
	fmt.Fprintf(s.Out, "changed %s ago\n", status.Age.Round(time.Second))
	for _, key := range status.Keys {
		fmt.Fprintf(s.Out, "  %-4s %s", key.ID, key.Role)
		if key.SealedItems != nil {
			fmt.Fprintf(s.Out, "; seals %d items", *key.SealedItems)
		}
		fmt.Fprintln(s.Out)
	}
	return nil
}

// keysetRotateCommand does the next step of a rotation.
type keysetRotateCommand struct {
	keysetFlags
	Again bool `help:"Start another rotation although the last one is less than a day old."`
}

func (keysetRotateCommand) details() string {
	return `A rotation takes two runs. The first adds a key. The second makes it primary, five
minutes later at the earliest; before that the command exits with code 3 and changes
nothing. Stored items are sealed with the primary key when they are next written:
tokens within their lifetime, grants within a day. Then drop the old key.
`
}

// Run does the step that is due.
func (c keysetRotateCommand) Run(ctx context.Context, s *session) error {
	r, err := c.rotation(ctx, s)
	if err != nil {
		return err
	}
	return r.Rotate(ctx, c.Again)
}

// keysetDropCommand removes a key.
type keysetDropCommand struct {
	keysetFlags
	Key string `arg:"" help:"The key to remove, such as k1."`
}

func (keysetDropCommand) details() string {
	return `The command reads the whole table and refuses to remove a key that still seals an item.
`
}

// Run removes a key that is not needed any more.
func (c keysetDropCommand) Run(ctx context.Context, s *session) error {
	r, err := c.rotation(ctx, s)
	if err != nil {
		return err
	}
	return r.Drop(ctx, c.Key)
}

// keysetResetCommand replaces a lost keyset.
type keysetResetCommand struct{ keysetFlags }

func (keysetResetCommand) details() string {
	return `The command generates new keys under the old names. The service then treats what the
old keys sealed as corrupt instead of temporarily unreadable: access tokens are minted
again, and users have to consent again.
`
}

// Run replaces the keyset.
func (c keysetResetCommand) Run(ctx context.Context, s *session) error {
	r, err := c.rotation(ctx, s)
	if err != nil {
		return err
	}
	return r.Reset(ctx)
}
