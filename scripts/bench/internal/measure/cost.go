package measure

import (
	"context"
	"fmt"
	"time"

	"github.com/tokenvend/tokenvend/pkg/vending"
	"github.com/tokenvend/tokenvend/scripts/bench/internal/awsstub"
	"github.com/tokenvend/tokenvend/scripts/bench/internal/scorecard"
)

const costAim = "1 eventually consistent read / 2 write units, item ≤ 1 KB for a 300-byte token"

// cost counts what the table is asked: by a cold environment that finds a token
// there, and by one that finds it due and replaces it.
func (b *bench) cost(ctx context.Context) (scorecard.Row, error) {
	c, err := b.openCloud(ctx)
	if err != nil {
		return scorecard.Row{}, err
	}
	defer c.Close()
	vend, err := c.traffic(ctx, 0, vending.FromTable)
	if err != nil {
		return scorecard.Row{}, err
	}
	renewal, err := c.traffic(ctx, lifetime*9/10, vending.FromProvider)
	if err != nil {
		return scorecard.Row{}, err
	}
	return scorecard.Row{
		Measured: fmt.Sprintf("%s / %s, item %d bytes", describeReads(vend), describeWrites(renewal), renewal.LargestItem),
		Met: vend == awsstub.Traffic{Reads: 1} && renewal.WriteUnits == 2 && renewal.Writes == 2 &&
			renewal.LargestItem <= 1024,
	}, nil
}

// traffic is what one vend of a new environment costs, so much later.
func (c cloud) traffic(ctx context.Context, later time.Duration, want vending.Source) (awsstub.Traffic, error) {
	store, err := c.store()
	if err != nil {
		return awsstub.Traffic{}, err
	}
	core := newCore(store, func() time.Time { return time.Now().Add(later) })
	v, err := core.Vend(ctx, vending.Request{Connection: "crm"})
	if err != nil {
		return awsstub.Traffic{}, err
	}
	if v.Source != want {
		return awsstub.Traffic{}, fmt.Errorf("the token came from %s, not from %s", v.Source, want)
	}
	return c.Take(), nil
}

func describeReads(t awsstub.Traffic) string {
	text := fmt.Sprintf("%d eventually consistent read(s)", t.Reads)
	if t.ConsistentReads > 0 {
		text += fmt.Sprintf(", %d consistent", t.ConsistentReads)
	}
	if t.Writes > 0 {
		text += fmt.Sprintf(", %d write units", t.WriteUnits)
	}
	return text
}

func describeWrites(t awsstub.Traffic) string {
	return fmt.Sprintf("%d write units in %d writes", t.WriteUnits, t.Writes)
}
