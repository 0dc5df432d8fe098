package cli

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tokenvend/tokenvend/pkg/clientsecret/awssecretsmanager"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/folder"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/scripts/internal/connectionfile"
	"github.com/tokenvend/tokenvend/scripts/internal/prompt"
	"github.com/tokenvend/tokenvend/scripts/internal/secretwriter"
	"github.com/tokenvend/tokenvend/scripts/internal/stack"
)

// addCommand declares a connection.
type addCommand struct {
	Name    connectionName `arg:"" help:"The connection's name, or BUNDLE.MEMBER to add a member to a bundle."`
	File    string         `placeholder:"FILE" help:"File with the connection's JSON; without it, standard input is read."`
	Try     bool           `help:"Request one token from the provider first. The token is not stored."`
	Replace bool           `help:"Replace the declaration of a connection that exists."`
	KMSKey  string         `name:"kms-key" placeholder:"ARN" help:"KMS key for a new secret; must be the stack's KmsKeyArn."`
	Dir     string         `placeholder:"DIR" help:"Write DIR/NAME.json for a local run instead of a secret. Providers on loopback are allowed."`
}

func (addCommand) details() string {
	return `The JSON is checked as the service checks it. The command shows what it is about to
do, asks, and writes the secret of the stack that --stack names.
`
}

// Run adds the connection.
func (c addCommand) Run(ctx context.Context, s *session) error {
	if err := s.checkDir(c.Dir, c.KMSKey); err != nil {
		return err
	}
	if c.File == "" && prompt.IsTerminal(s.In) {
		fmt.Fprintln(s.Err, "Type the connection's JSON and end it with Ctrl-D, or use --file.")
	}
	draft, err := c.draft(ctx, s.In)
	if err != nil {
		return err
	}
	a := connectionfile.Addition{Draft: draft, Now: s.Now, Out: s.Out, Prompt: s.prompt, Progress: s.progress}
	if c.Dir != "" {
		err = c.toFolder(s, &a)
	} else {
		err = c.toStack(ctx, s, &a)
	}
	if err != nil {
		return err
	}
	if c.Try {
		a.Provider = oauth.New(oauth.Config{Egress: a.Deployment.Parser.Egress, Now: s.Now})
	}
	return a.Run(ctx)
}

// checkDir requires either a stack or the folder of a local run.
func (s *session) checkDir(dir, kmsKey string) error {
	switch {
	case dir == "" && s.Stack == "":
		return usage("name the stack of the connection with --stack, or a local run's folder with --dir")
	case dir != "" && (s.Stack != "" || s.Profile != "" || s.Region != "" || kmsKey != ""):
		return usage("--dir is for a local run and excludes --stack, --profile, --region and --kms-key")
	}
	return nil
}

// removeCommand removes the declaration of a connection.
type removeCommand struct {
	Name connectionName `arg:"" help:"The connection's name, or BUNDLE.MEMBER to remove a member of a bundle."`
	Dir  string         `placeholder:"DIR" help:"Remove DIR/NAME.json of a local run instead of a secret."`
}

func (removeCommand) details() string {
	return `Stored tokens and grants stay. Disconnect the grants of a delegated connection first:
without the declaration the provider cannot be asked to revoke them.
`
}

// Run removes the connection.
func (c removeCommand) Run(ctx context.Context, s *session) error {
	if err := s.checkDir(c.Dir, ""); err != nil {
		return err
	}
	r := connectionfile.Removal{Name: connection.Name(c.Name), Target: connectionfile.Folder{Path: c.Dir}, Prompt: s.prompt, Out: s.Out}
	if c.Dir == "" {
		account, deployed, err := s.deployment(ctx)
		if err != nil {
			return err
		}
		r.Target = connectionfile.SecretsManager{Editor: editor(account), Prefix: deployed.SecretPrefix()}
	}
	return r.Run(ctx)
}

// draft reads the connection's JSON.
func (c addCommand) draft(ctx context.Context, in io.Reader) (connectionfile.Draft, error) {
	d := connectionfile.Draft{Name: connection.Name(c.Name), Replace: c.Replace, Origin: "standard input"}
	if c.File != "" {
		file, err := os.Open(c.File)
		if err != nil {
			return d, err
		}
		defer file.Close()
		in, d.Origin = file, "file "+filepath.Base(c.File)
	}
	text, err := readAll(ctx, in, secretwriter.MaxText+1)
	if err != nil {
		return d, fmt.Errorf("read the connection's JSON: %w", err)
	}
	d.Text = redact.New(string(text))
	return d, nil
}

// readAll reads to the end, to a limit in bytes, or until ctx ends.
func readAll(ctx context.Context, in io.Reader, limit int64) ([]byte, error) {
	type result struct {
		text []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := io.ReadAll(io.LimitReader(in, limit))
		done <- result{text, err}
	}()
	select {
	case read := <-done:
		return read.text, read.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// loopback are the networks that providers of a local run may be in.
var loopback = egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}

func (c addCommand) toFolder(s *session, a *connectionfile.Addition) error {
	if found, err := os.Stat(c.Dir); err != nil || !found.IsDir() {
		return fmt.Errorf("--dir: %s is not a folder; create it first", c.Dir)
	}
	a.Target = connectionfile.Folder{Path: c.Dir}
	a.Deployment = connectionfile.Deployment{Lister: folder.New(folder.Config{Path: c.Dir}), Parser: connection.Parser{Egress: loopback}}
	a.Next = func(connection.Connection) {
		fmt.Fprintf(s.Out, "\nStart the local run with this folder:\n\n  TOKENVEND_CONNECTIONS=%s %s dev\n", c.Dir, s.Program)
	}
	return nil
}

func (c addCommand) toStack(ctx context.Context, s *session, a *connectionfile.Addition) error {
	account, deployed, err := s.deployment(ctx)
	if err != nil {
		return err
	}
	prefix := deployed.SecretPrefix()
	a.Target = connectionfile.SecretsManager{Editor: editor(account), Prefix: prefix, KeyARN: c.KMSKey}
	a.Deployment = connectionfile.Deployment{
		Lister:  awssecretsmanager.New(awssecretsmanager.Config{Client: secretsmanager.NewFromConfig(account), Prefix: prefix}),
		Parser:  connection.Parser{Egress: egress.Policy{Allow: deployed.Networks}},
		BaseURL: deployed.URL(),
	}
	a.Next = func(added connection.Connection) { s.printNext(deployed, added) }
	return nil
}

// placeholder is the connection's name in the outputs of a stack.
const placeholder = "/NAME/"

// printNext prints what to do after a connection was added to a stack.
func (s *session) printNext(deployed stack.Stack, added connection.Connection) {
	named := func(text string) string {
		return strings.ReplaceAll(text, placeholder, "/"+string(added.Name)+"/")
	}
	if added.GrantType == connection.AuthorizationCode {
		fmt.Fprintf(s.Out, "\nHave a user consent:\n\n  %s\n", s.command("consent start "+string(added.Name)))
	}
	fmt.Fprintf(s.Out, "\nThe IAM policy of a caller needs this statement:\n\n  %s\n", named(deployed.CallerStatement()))
	fmt.Fprintf(s.Out, "\nA caller gets a token with:\n\n  %s\n", named(deployed.Curl()))
	fmt.Fprintf(s.Out, "\nTest the connection:\n\n  %s\n", s.command("connections test "+string(added.Name)))
}
