package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/tokenvend/tokenvend/pkg/clientsecret/awssecretsmanager"
	"github.com/tokenvend/tokenvend/pkg/config"
	"github.com/tokenvend/tokenvend/pkg/config/awsconfig"
	"github.com/tokenvend/tokenvend/scripts/internal/prompt"
	"github.com/tokenvend/tokenvend/scripts/internal/secretwriter"
)

// removal is one run of the command.
type removal struct {
	world
	asker *prompt.Asker
	aws   awsconfig.Config
}

func perform(ctx context.Context, o options, w world) error {
	aws, err := awsconfig.Load(w.lookup)
	if err != nil {
		return err
	}
	r := removal{world: w, asker: prompt.New(w.in, w.out, o.yes), aws: aws}
	switch {
	case o.stack != "":
		return r.stack(ctx, o.stack)
	case o.table != "":
		return r.table(ctx, o.table)
	default:
		return r.secret(ctx, o.secret)
	}
}

// stack deletes a stack. What stays is found out first: nothing tells of it
// afterwards.
func (r removal) stack(ctx context.Context, name string) error {
	resources, err := r.sam.Resources(ctx, name)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.out, "The stack %s in %s goes: the API, the functions, the schedule, the alarms and the logs. Callers get no tokens any more.\nWhat stays:\n\n",
		name, r.aws.Region)
	fmt.Fprintf(r.out, "  go run ./scripts/remove -table %s\n", resources["Tokens"])
	for _, keyset := range []string{"SealingKeyset", "ConsentKeyset"} {
		fmt.Fprintf(r.out, "  go run ./scripts/remove -secret %s\n", resources[keyset])
	}
	if err := r.connections(ctx); err != nil {
		return err
	}
	if role := resources["GatewayLogs"]; role != "" {
		fmt.Fprintf(r.out, "\nand the role %s, which API Gateway writes logs with in the whole account and region.\n", role)
	}
	fmt.Fprintln(r.out, "\nThese lines remove it; keep them.")
	if err := r.asker.Type("", name); err != nil {
		return err
	}
	if _, err := r.sam(ctx, "delete", "--stack-name", name, "--region", r.aws.Region, "--no-prompts"); err != nil {
		return err
	}
	fmt.Fprintf(r.out, "The stack %s is deleted.\n", name)
	return nil
}

// pageSize is how many secrets are asked for at once.
const pageSize = 100

// connections names the secrets that declare connections.
func (r removal) connections(ctx context.Context) error {
	settings, err := config.Load(r.lookup, config.SecretPrefix)
	if err != nil {
		return err
	}
	source := awssecretsmanager.New(awssecretsmanager.Config{Client: r.aws.SecretsManager(), Prefix: settings.SecretPrefix})
	for next := ""; ; {
		versions, following, err := source.Versions(ctx, pageSize, next)
		if err != nil {
			return fmt.Errorf("list the connections' secrets: %w", err)
		}
		for _, v := range versions {
			fmt.Fprintf(r.out, "  go run ./scripts/remove -secret %s\n", settings.SecretPrefix+v.Name)
		}
		if next = following; next == "" {
			return nil
		}
	}
}

func (r removal) secret(ctx context.Context, name string) error {
	if err := r.asker.Type("What only this secret knows is lost once 30 days are over.", name); err != nil {
		return err
	}
	ends, err := secretwriter.Editor{Client: r.aws.SecretsManager()}.Delete(ctx, name)
	if err != nil {
		return fmt.Errorf("the secret: %w", err)
	}
	fmt.Fprintf(r.out, "The secret is deleted on %s. Until then it comes back with: aws secretsmanager restore-secret --secret-id %s\n", ends.Format(time.DateOnly), name)
	return nil
}

func (r removal) table(ctx context.Context, name string) error {
	client := r.aws.DynamoDB()
	found, err := client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &name})
	if err != nil {
		return refused("find the table", err)
	}
	fmt.Fprintf(r.out, "The table %s in %s holds some %d items: tokens, and grants that no other copy may exist of.\n",
		name, r.aws.Region, aws.ToInt64(found.Table.ItemCount))
	if err := r.asker.Type("", name); err != nil {
		return err
	}
	if aws.ToBool(found.Table.DeletionProtectionEnabled) {
		off := &dynamodb.UpdateTableInput{TableName: &name, DeletionProtectionEnabled: aws.Bool(false)}
		if _, err := client.UpdateTable(ctx, off); err != nil {
			return refused("take the protection off", err)
		}
	}
	if err := r.deleteOnce(ctx, client, name); err != nil {
		return err
	}
	fmt.Fprintf(r.out, "The table %s is deleted.\n", name)
	return nil
}

// deleteOnce deletes a table. One that is still busy with its protection is
// told, not waited for: the same command does the rest.
func (r removal) deleteOnce(ctx context.Context, client *dynamodb.Client, name string) error {
	_, err := client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &name})
	if busy := (*types.ResourceInUseException)(nil); errors.As(err, &busy) {
		return errors.New("the table is still being updated; run this again in a minute")
	}
	if err != nil {
		return refused("delete the table", err)
	}
	return nil
}

// refused names what DynamoDB answered, and no ARN.
func refused(what string, err error) error {
	var answer smithy.APIError
	if errors.As(err, &answer) {
		return fmt.Errorf("%s: DynamoDB answered %s", what, answer.ErrorCode())
	}
	return fmt.Errorf("%s: DynamoDB did not answer; see AWS_REGION and the network", what)
}
