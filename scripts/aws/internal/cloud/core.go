package cloud

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/awssecretsmanager"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/renewal"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/awsdynamodb"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// Past is the functions' parts in this process, over the stack's engines, at a
// time of the caller's: so that a stack has a history.
type Past struct {
	Core    *vending.Core
	Renewer *renewal.Renewer

	flow consent.BackChannelConfig
	door consent.FrontChannelConfig
}

// Past returns a cold process under that clock. Its audit lines go nowhere.
func (c *Cloud) Past(now func() time.Time) (Past, error) {
	policy, err := c.policy()
	if err != nil {
		return Past{}, err
	}
	client := dynamodb.New(dynamodb.Options{BaseEndpoint: &c.tableURL, Region: Region, Credentials: anyone})
	records := awsdynamodb.Config{Client: client, Table: c.Table, Now: now}
	table := awsdynamodb.NewWheel(awsdynamodb.WheelConfig{Client: client, Store: awsdynamodb.New(records)})
	source := awssecretsmanager.New(awssecretsmanager.Config{Client: c.secrets, Prefix: Prefix})
	provider := oauth.New(oauth.Config{Egress: policy, Now: now})
	sealer, sessions := c.sealer(mainKeyset, now), awsdynamodb.NewSessions(records)
	core := vending.New(vending.Config{
		Store: table, Secrets: source, Parser: connection.Parser{Egress: policy}, Minter: provider, Revoker: provider, Sealer: sealer, Now: now,
	})
	silent := audit.NewWriter(audit.Config{Output: io.Discard, Now: now})
	return Past{
		Core:    core,
		Renewer: renewal.New(renewal.Config{Core: core, Index: table, Notes: table, Versions: source, Audit: silent, Now: now}),
		flow:    consent.BackChannelConfig{Sessions: sessions, Pending: table, Grants: core, Sealer: sealer, Now: now},
		door:    consent.FrontChannelConfig{Sessions: sessions, Sealer: c.sealer(consentKeyset, now), Now: now},
	}, nil
}

// Flow is the signed side of a consent, with that randomness.
func (p Past) Flow(random io.Reader) *consent.BackChannel {
	p.flow.Rand = random
	return consent.NewBackChannel(p.flow)
}

// Door is the public side of a consent, with that randomness.
func (p Past) Door(random io.Reader) *consent.FrontChannel {
	p.door.Rand = random
	return consent.NewFrontChannel(p.door)
}

func (c *Cloud) sealer(keyset string, now func() time.Time) *seal.Sealer {
	return seal.New(seal.Config{Now: now, Keyset: func(ctx context.Context) (redact.Secret, error) {
		return awssecretsmanager.ReadText(ctx, c.secrets, keyset)
	}})
}

// policy is what the functions make of PROVIDER_ALLOW_CIDRS.
func (c *Cloud) policy() (p egress.Policy, err error) {
	for text := range strings.SplitSeq(c.networks, ",") {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return p, fmt.Errorf("networks of the provider: %w", err)
		}
		p.Allow = append(p.Allow, network)
	}
	return p, nil
}
