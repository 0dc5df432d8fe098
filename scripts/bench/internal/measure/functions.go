package measure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/config/awsconfig"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/awsdynamodb"
	"github.com/tokenvend/tokenvend/pkg/vending"
	"github.com/tokenvend/tokenvend/scripts/bench/internal/awsstub"
	"github.com/tokenvend/tokenvend/scripts/bench/internal/scorecard"
	"github.com/tokenvend/tokenvend/scripts/internal/runtimehost"
)

const sealingID = "sealing"

var (
	coldAim = scorecard.AtMost(2.5)
	warmAim = scorecard.AtMost(1.25)
)

// cloud is the services that the functions call, with a token in the table.
type cloud struct{ *awsstub.Stub }

// openCloud starts the services and mints a token of each kind into the table.
func (b *bench) openCloud(ctx context.Context) (cloud, error) {
	stub, err := awsstub.Start(awsstub.Config{Folder: b.built.folder, Secrets: map[string]string{sealingID: keyset}})
	if err != nil {
		return cloud{}, err
	}
	c := cloud{stub}
	store, err := c.store()
	if err == nil {
		err = fill(ctx, newCore(store, time.Now))
	}
	if err != nil {
		stub.Close()
		return cloud{}, fmt.Errorf("fill the table: %w", err)
	}
	stub.Take()
	return c, nil
}

// fill stores a token of crm, and token and grant of crm-user. Both are vended
// once, so that they are marked as used and later vends only read.
func fill(ctx context.Context, core *vending.Core) error {
	_, err := core.Vend(ctx, crm)
	if err == nil {
		err = core.Import(ctx, vending.Import{Request: crmUser, RefreshToken: redact.New("imported")})
	}
	if err == nil {
		_, err = core.Vend(ctx, crmUser)
	}
	return err
}

// store is the table as the functions reach it.
func (c cloud) store() (*awsdynamodb.Store, error) {
	aws, err := awsconfig.Load(lookup(c.Environment()))
	if err != nil {
		return nil, err
	}
	return awsdynamodb.New(awsdynamodb.Config{Client: aws.DynamoDB(), Table: awsstub.Table}), nil
}

func lookup(environment []string) awsconfig.Lookup {
	return func(name string) (string, bool) {
		at := slices.IndexFunc(environment, func(pair string) bool { return strings.HasPrefix(pair, name+"=") })
		if at < 0 {
			return "", false
		}
		return environment[at][len(name)+1:], true
	}
}

func (b *bench) vendHost(c cloud) *runtimehost.Host { return vendHost(c, b.built.vend) }

// vendHost is an environment of the vend function, or of a variant of it; what
// environment says goes before what the stub does.
func vendHost(c cloud, bootstrap string, environment ...string) *runtimehost.Host {
	return runtimehost.New(runtimehost.Config{
		Bootstrap: bootstrap, Name: "vend", Timeout: 30 * time.Second,
		Env: slices.Concat(c.Environment(), []string{"TOKEN_TABLE=" + awsstub.Table, "SEALING_SECRET_ID=" + sealingID}, environment),
	})
}

func (b *bench) helloHost() *runtimehost.Host {
	return runtimehost.New(runtimehost.Config{Bootstrap: b.built.hello, Name: "hello"})
}

// cold compares the time from exec to the first answer. Each sample is an
// execution environment of its own; vend's reads the keyset and the table.
func (b *bench) cold(ctx context.Context) (scorecard.Row, error) {
	c, err := b.openCloud(ctx)
	if err != nil {
		return scorecard.Row{}, err
	}
	defer c.Close()
	compared, err := scorecard.Compare(ctx, b.effort.cold,
		func(ctx context.Context) (float64, error) {
			took, answer, err := firstAnswer(ctx, b.vendHost(c))
			if err == nil {
				err = errors.Join(checkVended(answer), readTable(c.Take(), 2))
			}
			return took, err
		},
		func(ctx context.Context) (float64, error) {
			took, _, err := firstAnswer(ctx, b.helloHost())
			return took, err
		})
	return coldAim.Judge("", compared, scorecard.Seconds), err
}

// firstAnswer starts an environment for one event, and returns the seconds it took.
func firstAnswer(ctx context.Context, h *runtimehost.Host) (float64, []byte, error) {
	defer h.Close()
	began := time.Now()
	answer, err := h.Invoke(ctx, event)
	return time.Since(began).Seconds(), answer, err
}

// readTable fails unless a cold start met the table so often: twice, for the
// handshake during initialisation and for the item, or once without the former.
// The SDK may try a read again when a connection breaks; such a start is slow,
// and one in a median.
func readTable(t awsstub.Traffic, reads int) error {
	if t.Reads < reads || t.ConsistentReads+t.Writes != 0 {
		return fmt.Errorf("a cold start asked the table for %+v, not for %d reads", t, reads)
	}
	return nil
}

// warm compares one invocation of an environment that has answered before.
func (b *bench) warm(ctx context.Context) (scorecard.Row, error) {
	c, err := b.openCloud(ctx)
	if err != nil {
		return scorecard.Row{}, err
	}
	defer c.Close()
	vend, hello := b.vendHost(c), b.helloHost()
	defer vend.Close()
	defer hello.Close()
	answer, err := vend.Invoke(ctx, event)
	if err == nil {
		err = checkVended(answer)
	}
	if err != nil {
		return scorecard.Row{}, err
	}
	compared, err := scorecard.Compare(ctx, b.batches, b.invoked(vend), b.invoked(hello))
	if err == nil {
		err = mostlyFromMemory(c.Take().Reads, b.batches*b.invocations)
	}
	return warmAim.Judge("", compared, scorecard.Seconds), err
}

func (b *bench) invoked(h *runtimehost.Host) scorecard.Sample {
	return batch(b.invocations, func(ctx context.Context) error {
		_, err := h.Invoke(ctx, event)
		return err
	})
}
