package measure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
	"github.com/tokenvend/tokenvend/scripts/bench/internal/awsstub"
	"github.com/tokenvend/tokenvend/scripts/internal/lambdahost"
	"github.com/tokenvend/tokenvend/scripts/internal/scorecard"
)

const sealingID = "sealing"

var (
	coldAim = scorecard.AtMost(2.5)
	warmAim = scorecard.AtMost(1.25)
)

// openStub starts the services that the functions call, with a token in the table.
func (b *bench) openStub(ctx context.Context) (*awsstub.Stub, error) {
	item, record, err := stored(ctx)
	if err != nil {
		return nil, fmt.Errorf("make an item: %w", err)
	}
	return awsstub.Start(awsstub.Config{
		Folder: b.built.folder, Secrets: map[string]string{sealingID: keyset}, Items: []tokenstore.Item{item},
		Declarations: []tokenstore.DeclarationRecord{record},
	})
}

// stored is the item and the declaration record of crm after a vend, which marks its
// token as used: later vends only read.
func stored(ctx context.Context) (tokenstore.Item, tokenstore.DeclarationRecord, error) {
	table := memory.New()
	if _, err := service(table, time.Now).Core().Vend(ctx, crm); err != nil {
		return tokenstore.Item{}, tokenstore.DeclarationRecord{}, err
	}
	return table.GetWithDeclaration(ctx, tokenstore.Key{Connection: string(crm.Connection)}, true)
}

// vendHost is an environment of the vend function; environment overrides what
// the stub says.
func (b *bench) vendHost(stub *awsstub.Stub, environment ...string) *lambdahost.Host {
	return lambdahost.New(lambdahost.Config{
		Bootstrap: b.built.vend, Name: "vend", Timeout: 30 * time.Second,
		Env: slices.Concat(stub.Environment(), []string{"TOKEN_TABLE=" + awsstub.Table, "SEALING_SECRET_ID=" + sealingID}, environment),
	})
}

func (b *bench) helloHost() *lambdahost.Host {
	return lambdahost.New(lambdahost.Config{Bootstrap: b.built.hello, Name: "hello"})
}

// cold compares the time from exec to the first answer. Each sample is an
// execution environment of its own; vend's reads the keyset and the table.
func (b *bench) cold(ctx context.Context) (scorecard.Row, error) {
	stub, err := b.openStub(ctx)
	if err != nil {
		return scorecard.Row{}, err
	}
	defer stub.Close()
	compared, err := scorecard.Compare(ctx, b.effort.cold,
		func(ctx context.Context) (float64, error) {
			took, answer, err := firstAnswer(ctx, b.vendHost(stub))
			if err == nil {
				err = errors.Join(checkVended(answer), readTable(stub.Take()))
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
func firstAnswer(ctx context.Context, h *lambdahost.Host) (float64, []byte, error) {
	defer h.Close()
	began := time.Now()
	answer, err := h.Invoke(ctx, event)
	return time.Since(began).Seconds(), answer, err
}

// readTable fails unless a cold start read the table twice: for the handshake
// during initialisation and for the item. The SDK may repeat a read when a
// connection breaks; such a start is slow, and one in a median.
func readTable(t awsstub.Traffic) error {
	if t.Reads < 2 || t.Others != 0 {
		return fmt.Errorf("a cold start asked the table for %+v, want 2 reads and nothing else", t)
	}
	return nil
}

// warm compares one invocation of an environment that has answered before.
func (b *bench) warm(ctx context.Context) (scorecard.Row, error) {
	stub, err := b.openStub(ctx)
	if err != nil {
		return scorecard.Row{}, err
	}
	defer stub.Close()
	vend, hello := b.vendHost(stub), b.helloHost()
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
		err = mostlyFromMemory(stub.Take().Reads, b.batches*b.invocations)
	}
	return warmAim.Judge("", compared, scorecard.Seconds), err
}

func (b *bench) invoked(h *lambdahost.Host) scorecard.Sample {
	return batch(b.invocations, func(ctx context.Context) error {
		_, err := h.Invoke(ctx, event)
		return err
	})
}
