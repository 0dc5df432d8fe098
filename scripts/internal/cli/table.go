package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

// deleteTableCommand deletes a table.
type deleteTableCommand struct {
	Table string `arg:"" help:"The table's name."`
}

func (deleteTableCommand) details() string {
	return `The command removes the table's deletion protection and deletes the table with every
token and grant. Grants stay valid at the providers: disconnect them first. DynamoDB
keeps a backup for 35 days.
`
}

// Run deletes the table.
func (c deleteTableCommand) Run(ctx context.Context, s *session) error {
	account, err := s.account(ctx)
	if err != nil {
		return err
	}
	tables := dynamodb.NewFromConfig(account)
	found, err := tables.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &c.Table})
	if err != nil {
		return explainTable("find the table", err)
	}
	fmt.Fprintf(s.Out, "The table %s in %s has about %d items: tokens, and grants of which there may be no other copy.\n",
		c.Table, account.Region, aws.ToInt64(found.Table.ItemCount))
	if err := s.prompt.ConfirmName(ctx, "", c.Table); err != nil {
		return err
	}
	if aws.ToBool(found.Table.DeletionProtectionEnabled) {
		off := &dynamodb.UpdateTableInput{TableName: &c.Table, DeletionProtectionEnabled: aws.Bool(false)}
		if _, err := tables.UpdateTable(ctx, off); err != nil {
			return explainTable("remove the deletion protection", err)
		}
	}
	if err := c.deleteOnce(ctx, tables); err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "The table %s is deleted.\n", c.Table)
	return nil
}

// deleteOnce deletes the table. It does not wait for one that is still being
// updated: running the command again completes the deletion.
func (c deleteTableCommand) deleteOnce(ctx context.Context, tables *dynamodb.Client) error {
	_, err := tables.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &c.Table})
	if busy := (*types.ResourceInUseException)(nil); errors.As(err, &busy) {
		return errors.New("the table is still being updated; run this again in a minute")
	}
	if err != nil {
		return explainTable("delete the table", err)
	}
	return nil
}

// explainTable names the error code of DynamoDB. The service's message is omitted,
// because it names ARNs.
func explainTable(what string, err error) error {
	var refused smithy.APIError
	if errors.As(err, &refused) {
		return fmt.Errorf("%s: DynamoDB answered %s", what, refused.ErrorCode())
	}
	return fmt.Errorf("%s: DynamoDB did not answer; check the region and the network", what)
}
