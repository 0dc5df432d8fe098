package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tokenvend/tokenvend/pkg/clientsecret/awssecretsmanager"
	"github.com/tokenvend/tokenvend/scripts/internal/stack"
)

// outputsCommand prints the outputs of a stack.
type outputsCommand struct{}

// Run prints the outputs, sorted by name.
func (outputsCommand) Run(ctx context.Context, s *session) error {
	_, deployed, err := s.deployment(ctx)
	if err != nil {
		return err
	}
	if s.Output == jsonOutput {
		return printJSON(s.Out, deployed.Outputs)
	}
	table := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	for _, key := range slices.Sorted(maps.Keys(deployed.Outputs)) {
		fmt.Fprintf(table, "%s\t%s\n", key, deployed.Outputs[key])
	}
	return table.Flush()
}

// deleteStackCommand deletes a stack.
type deleteStackCommand struct {
	Connections bool `help:"Also print the commands that delete the secrets of the stack's connections."`
}

func (deleteStackCommand) details() string {
	return `The stack leaves behind the table, which may hold the only valid refresh tokens, the
keysets, without which the table cannot be read, the logs with the audit lines, the
secrets of the connections, and the role that API Gateway writes logs with, which other
APIs of the account may use.
The command prints how to delete each of them. SAM CLI deletes the stack.
`
}

// Run deletes the stack. What it leaves behind is printed first, because the outputs
// are gone afterwards.
func (c deleteStackCommand) Run(ctx context.Context, s *session) error {
	account, deployed, err := s.deployment(ctx)
	if err != nil {
		return err
	}
	var connections []string
	if c.Connections {
		if connections, err = s.connectionSecrets(ctx, account, deployed); err != nil {
			return err
		}
	}
	fmt.Fprintf(s.Out, "Deleting the stack %s in %s removes the API, the functions, the schedule and the alarms.\nCallers get no more tokens. These commands delete what it leaves behind; keep them:\n\n",
		s.Stack, account.Region)
	fmt.Fprintf(s.Out, "  %s\n", s.command("stack delete-table "+deployed.Table()))
	for _, secret := range append([]string{deployed.SealingKeyset(), deployed.ConsentKeyset()}, connections...) {
		fmt.Fprintf(s.Out, "  %s\n", s.command("stack delete-secret "+secret))
	}
	s.printLogs(account.Region, deployed.LogGroups())
	c.printKept(s, deployed)
	if err := s.prompt.ConfirmName(ctx, "", s.Stack); err != nil {
		return err
	}
	if err := s.deleteStack(ctx, account.Region); err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "The stack %s is deleted.\n", s.Stack)
	return nil
}

// printLogs prints the commands that delete the logs before they expire.
func (s *session) printLogs(region string, groups []string) {
	options := " --region " + region
	if s.Profile != "" {
		options += " --profile " + s.Profile
	}
	for _, group := range groups {
		fmt.Fprintf(s.Out, "  aws logs delete-log-group --log-group-name %s%s\n", group, options)
	}
}

// printKept prints what stays and has no command that deletes it.
func (c deleteStackCommand) printKept(s *session, deployed stack.Stack) {
	fmt.Fprintln(s.Out)
	if !c.Connections {
		fmt.Fprintf(s.Out, "The secrets of the connections under %s stay; --connections prints them too.\n", deployed.SecretPrefix())
	}
	if role := deployed.GatewayLogRole(); role != "" {
		fmt.Fprintf(s.Out, "The role %s stays too: API Gateway writes the logs of this whole account and region with it.\n", role)
	}
}

// pageSize is the number of secrets that one call asks for.
const pageSize = 100

// connectionSecrets lists the secrets of the stack's connections. It refuses when
// another stack may use the prefix: then a secret may be that stack's, and deleting
// it would end that stack's tokens.
func (s *session) connectionSecrets(ctx context.Context, account aws.Config, deployed stack.Stack) (names []string, err error) {
	prefix := deployed.SecretPrefix()
	others, err := stack.SharingPrefix(ctx, s.CloudFormation(account), deployed)
	if err != nil {
		return nil, fmt.Errorf("find other stacks with the prefix %s: %w", prefix, err)
	}
	if len(others) > 0 {
		return nil, fmt.Errorf("the connections are not listed: the prefix %s overlaps with that of the stack %s, whose connections would be among them; run this without --connections",
			prefix, strings.Join(others, ", "))
	}
	source := awssecretsmanager.New(awssecretsmanager.Config{Client: secretsmanager.NewFromConfig(account), Prefix: prefix})
	for next := ""; ; {
		versions, following, err := source.Versions(ctx, pageSize, next)
		if err != nil {
			return nil, fmt.Errorf("list the secrets of the connections: %w", err)
		}
		for _, v := range versions {
			names = append(names, prefix+v.Name)
		}
		if next = following; next == "" {
			return names, nil
		}
	}
}

// deleteStack deletes the stack and shows how long it has been waiting.
func (s *session) deleteStack(ctx context.Context, region string) error {
	began, ticker := s.Now(), time.NewTicker(time.Second)
	defer ticker.Stop()
	defer s.progress.Done()
	done := make(chan error, 1)
	go func() { done <- s.SAM.Delete(ctx, s.Stack, region, s.Profile) }()
	for {
		select {
		case err := <-done:
			return err
		case <-ticker.C:
			s.progress.Show("deleting the stack %s, %s", s.Stack, s.Now().Sub(began).Round(time.Second))
		}
	}
}

// deleteSecretCommand schedules the deletion of a secret.
type deleteSecretCommand struct {
	Secret string `arg:"" help:"The secret by name or ARN: a keyset's, or a connection's."`
}

// Run schedules the deletion of the secret.
func (c deleteSecretCommand) Run(ctx context.Context, s *session) error {
	account, err := s.account(ctx)
	if err != nil {
		return err
	}
	if err := s.prompt.ConfirmName(ctx, "The secret can be restored for 30 days.", c.Secret); err != nil {
		return err
	}
	ends, err := editor(account).Delete(ctx, c.Secret)
	if err != nil {
		return fmt.Errorf("delete the secret: %w", err)
	}
	fmt.Fprintf(s.Out, "The secret is deleted on %s. Until then, restore it with: aws secretsmanager restore-secret --secret-id %s\n", ends.Format(time.DateOnly), c.Secret)
	return nil
}
