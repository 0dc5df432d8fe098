package awssecretsmanager

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"golang.org/x/sync/errgroup"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/internal/cursor"
)

const (
	maxListed  = 100 // the largest page of ListSecrets
	maxBatch   = 20  // the largest batch of BatchGetSecretValue
	maxBatches = 4   // concurrent batches: a page of 1,000 takes 13 rounds
)

// List returns up to limit (≥ 1) secrets below the prefix with their current texts,
// and the cursor of the next page, empty on the last one. The oldest secret comes
// first, so that a new one does not shift a page. A page may be short or empty and
// still have a next one.
//
// A secret that cannot be read, or is scheduled for deletion, is an entry with an
// error; one that was just deleted is omitted. Errors are clientsecret.ErrBadCursor,
// ErrUnavailable, and ErrUnreadable when the role may not list.
func (s *Source) List(ctx context.Context, limit int, next string) ([]clientsecret.Entry, string, error) {
	if limit < 1 {
		return nil, "", fmt.Errorf("list secrets: the limit %d is below 1", limit)
	}
	entries, next, err := s.names(ctx, limit, next)
	if err != nil {
		return nil, "", err
	}
	if err := s.fill(ctx, entries); err != nil {
		return nil, "", err
	}
	entries = slices.DeleteFunc(entries, func(e clientsecret.Entry) bool { return errors.Is(e.Err, clientsecret.ErrNotFound) })
	return entries, next, nil
}

// Versions returns up to limit (≥ 1) secrets below the prefix with the id of their
// current version, and the cursor of the next page, in the order and with the
// errors of [Source.List]. It reads no texts and needs no permission for that.
func (s *Source) Versions(ctx context.Context, limit int, next string) ([]clientsecret.Version, string, error) {
	if limit < 1 {
		return nil, "", fmt.Errorf("list secrets: the limit %d is below 1", limit)
	}
	var versions []clientsecret.Version
	next, err := s.each(ctx, limit, next, func(name string, found types.SecretListEntry) {
		versions = append(versions, clientsecret.Version{Name: name, ARN: aws.ToString(found.ARN), VersionID: currentVersion(found.DeletedDate, found.SecretVersionsToStages)})
	})
	return versions, next, err
}

// currentVersion is the id of the version that carries AWSCURRENT. A secret that is
// scheduled for deletion keeps its labels, but no version of it can be read.
func currentVersion(deletedAt *time.Time, versions map[string][]string) string {
	if deletedAt != nil {
		return ""
	}
	for id, stages := range versions {
		if slices.Contains(stages, string(clientsecret.Current)) {
			return id
		}
	}
	return ""
}

// names lists up to limit secrets without their texts.
func (s *Source) names(ctx context.Context, limit int, next string) ([]clientsecret.Entry, string, error) {
	var entries []clientsecret.Entry
	next, err := s.each(ctx, limit, next, func(name string, found types.SecretListEntry) {
		entries = append(entries, s.listed(name, found))
	})
	return entries, next, err
}

// each calls visit for up to limit secrets under the prefix and returns the
// cursor of the next page.
func (s *Source) each(ctx context.Context, limit int, next string, visit func(name string, found types.SecretListEntry)) (string, error) {
	token, err := s.token(next)
	if err != nil {
		return "", err
	}
	for {
		out, err := s.client.ListSecrets(ctx, s.listInput(limit, token))
		if err != nil {
			return "", faultOf(err).wrapCall("secretsmanager:ListSecrets")
		}
		for _, found := range out.SecretList {
			// The service filters too; this check decides.
			if name, ok := strings.CutPrefix(aws.ToString(found.Name), s.prefix); ok {
				visit(name, found)
				limit--
			}
		}
		token = out.NextToken
		if aws.ToString(token) == "" {
			return "", nil
		}
		if limit <= 0 {
			return cursor.Encode(s.cursorScope(), *token), nil
		}
	}
}

func (s *Source) listInput(limit int, token *string) *secretsmanager.ListSecretsInput {
	return &secretsmanager.ListSecretsInput{
		Filters:                []types.Filter{{Key: types.FilterNameStringTypeName, Values: []string{s.prefix}}},
		IncludePlannedDeletion: aws.Bool(true),
		MaxResults:             aws.Int32(int32(min(limit, maxListed))), //nolint:gosec // at most maxListed
		NextToken:              token,
		SortOrder:              types.SortOrderTypeAsc,
	}
}

// listed is an entry without its text, with an error if it cannot be read.
func (s *Source) listed(name string, found types.SecretListEntry) clientsecret.Entry {
	entry := clientsecret.Entry{Secret: clientsecret.Secret{
		Name:   name,
		ARN:    aws.ToString(found.ARN),
		Origin: origin(s.prefix + name),
	}}
	if found.DeletedDate != nil {
		entry.Err = fault{code: codeInvalid}.wrap(entry.Origin)
	} else {
		entry.Err = clientsecret.CheckDot(entry.Origin, name)
	}
	return entry
}

// token is the service's token in a cursor; nil is the first page.
func (s *Source) token(next string) (*string, error) {
	if next == "" {
		return nil, nil //nolint:nilnil // the SDK's way to ask for the first page
	}
	token, err := cursor.Decode(s.cursorScope(), next)
	return &token, err
}

func (s *Source) cursorScope() string { return "secretsmanager " + s.prefix }

// fill reads the texts of the entries that have no error yet.
func (s *Source) fill(ctx context.Context, entries []clientsecret.Entry) error {
	var wanted []*clientsecret.Entry
	for i := range entries {
		if entries[i].Err == nil {
			wanted = append(wanted, &entries[i])
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxBatches)
	for batch := range slices.Chunk(wanted, maxBatch) {
		group.Go(func() error { return s.fillBatch(ctx, batch) })
	}
	return group.Wait()
}

// fillBatch reads up to 20 texts with one call. One secret may fail the complete
// call; then each is read by itself.
func (s *Source) fillBatch(ctx context.Context, batch []*clientsecret.Entry) error {
	results, err := s.batchGet(ctx, batch)
	if err != nil {
		failed := faultOf(err)
		if !failed.isOfOneSecret() {
			return failed.wrapCall("secretsmanager:BatchGetSecretValue")
		}
		s.fillSingly(ctx, batch)
		return nil
	}
	for _, entry := range batch {
		result, ok := results[entry.ARN]
		if !ok { // an error may have the name of the secret instead
			result, ok = results[s.prefix+entry.Name]
		}
		if !ok {
			result.fault = &fault{code: "not in the response"}
		}
		result.fill(entry)
	}
	return nil
}

func (s *Source) fillSingly(ctx context.Context, batch []*clientsecret.Entry) {
	for _, entry := range batch {
		found, err := get(ctx, s.client, request{id: entry.ARN, stage: clientsecret.Current, origin: entry.Origin})
		if err != nil {
			entry.Err = err
			continue
		}
		found.Name = entry.Name
		entry.Secret = found
	}
}

// batchResult is the result of a batch for one secret: a version or a fault.
type batchResult struct {
	version version
	fault   *fault
}

func (r batchResult) fill(entry *clientsecret.Entry) {
	if r.fault != nil {
		entry.Err = r.fault.wrap(entry.Origin)
		return
	}
	found, err := r.version.secret(entry.Origin)
	found.Name = entry.Name
	entry.Secret, entry.Err = found, err
}

// batchGet reads current versions by ARN. The service may split even one batch into
// several pages.
func (s *Source) batchGet(ctx context.Context, batch []*clientsecret.Entry) (map[string]batchResult, error) {
	input := &secretsmanager.BatchGetSecretValueInput{}
	for _, entry := range batch {
		input.SecretIdList = append(input.SecretIdList, entry.ARN)
	}
	results := make(map[string]batchResult, len(batch))
	for {
		out, err := s.client.BatchGetSecretValue(ctx, input)
		if err != nil {
			return nil, err
		}
		for _, value := range out.SecretValues {
			results[aws.ToString(value.ARN)] = batchResult{version: version{
				arn: value.ARN, id: value.VersionId, text: value.SecretString, created: value.CreatedDate,
			}}
		}
		for _, failed := range out.Errors {
			f := faultOfCode(aws.ToString(failed.ErrorCode), aws.ToString(failed.Message))
			results[aws.ToString(failed.SecretId)] = batchResult{fault: &f}
		}
		if input.NextToken = out.NextToken; aws.ToString(input.NextToken) == "" {
			return results, nil
		}
	}
}
