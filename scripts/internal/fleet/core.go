package fleet

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tokenvend/tokenvend/pkg/assembly"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/awssecretsmanager"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/awsdynamodb"
	"github.com/tokenvend/tokenvend/pkg/vending"
	"github.com/tokenvend/tokenvend/pkg/wheel"
)

var loopback = egress.Policy{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}

// Core is the vend function's core in this process, on the fleet's engines and
// behind its gate, with that clock; nil means time.Now. Scenarios use it where a
// process will not do: for another clock, and for thousands of callers at once.
func (f *Fleet) Core(now func() time.Time) *vending.Core {
	table := f.TableLine.URL()
	client := dynamodb.New(dynamodb.Options{BaseEndpoint: &table, Region: "us-east-1", Credentials: credentials, Retryer: aws.NopRetryer{}})
	return assembly.Service{
		Store:        awsdynamodb.New(awsdynamodb.Config{Client: client, Table: f.table}),
		Secrets:      awssecretsmanager.New(awssecretsmanager.Config{Client: f.secrets, Prefix: SecretPrefix}),
		CacheSecrets: true,
		Parser:       connection.Parser{Egress: loopback},
		Sealer: seal.New(seal.Config{Now: now, Keyset: func(ctx context.Context) (redact.Secret, error) {
			return awssecretsmanager.ReadText(ctx, f.secrets, SealingSecret)
		}}),
		Now: now,
	}.Core()
}

// Mint mints a token that long ago and returns its id. It uses a core whose clock
// is behind, or ahead when ago is negative.
func (f *Fleet) Mint(ctx context.Context, name string, ago time.Duration) (tokenID string, err error) {
	core := f.Core(func() time.Time { return time.Now().Add(-ago) })
	v, err := core.Vend(ctx, vending.Request{Connection: connection.Name(name), Caller: App})
	if err != nil {
		return "", fmt.Errorf("mint a token of %s: %w", name, err)
	}
	return v.ID, nil
}

// MakeDue moves connections' tokens to a slot that the next tick of any renewer
// visits, whatever the minute.
func (f *Fleet) MakeDue(ctx context.Context, connections ...string) error {
	now := time.Now()
	notes := awsdynamodb.New(awsdynamodb.Config{Client: f.dynamo, Table: f.table})
	for shard := range wheel.Shards {
		note, err := notes.ReadDocument(ctx, fmt.Sprintf("cursor/%d", shard))
		if err != nil {
			return err
		}
		note.Text = strconv.AppendInt(nil, int64(wheel.MinuteOf(now)-3), 10)
		if _, err := notes.WriteDocument(ctx, note); err != nil {
			return err
		}
	}
	for _, c := range connections {
		slot := vending.RetrySlot(tokenstore.Key{Connection: c}, now.Add(-2*time.Minute))
		if err := f.Change(ctx, c, attributes{"renew_slot": Text(slot)}); err != nil {
			return err
		}
	}
	return nil
}
