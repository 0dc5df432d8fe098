package measure

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
	"github.com/tokenvend/tokenvend/scripts/internal/scorecard"
)

var decodeAim = scorecard.AtMost(0.7)

// gateway compares a whole vend in process, from the event's bytes to the
// response's, audit line included, with decoding the event alone.
func (b *bench) gateway(ctx context.Context) (scorecard.Row, error) {
	table := &countingStore{Store: memory.New()}
	parts := service(table, time.Now)
	handler := parts.Vend(parts.Core())
	answer, err := handler.Invoke(ctx, event)
	if err == nil {
		err = checkVended(answer)
	}
	if err != nil {
		return scorecard.Row{}, err
	}
	c, err := scorecard.Compare(ctx, b.decisions,
		b.repeated(func(ctx context.Context) error {
			_, err := handler.Invoke(ctx, event)
			return err
		}),
		b.repeated(func(context.Context) error {
			var e events.APIGatewayProxyRequest
			return json.Unmarshal(event, &e)
		}))
	if err == nil {
		err = mostlyFromMemory(table.reads, b.decisions*b.perBatch)
	}
	return decodeAim.Judge("", c, scorecard.Seconds), err
}

// repeated samples the mean time of one call within a batch, in seconds.
func (b *bench) repeated(call func(context.Context) error) scorecard.Sample {
	return batch(b.perBatch, call)
}

func batch(calls int, call func(context.Context) error) scorecard.Sample {
	return func(ctx context.Context) (float64, error) {
		began := time.Now()
		for range calls {
			if err := call(ctx); err != nil {
				return 0, err
			}
		}
		return time.Since(began).Seconds() / float64(calls), nil
	}
}

// countingStore counts reads. It serves one caller at a time.
type countingStore struct {
	*memory.Store
	reads int
}

// Get implements vending.Reader.
func (s *countingStore) Get(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, error) {
	s.reads++
	return s.Store.Get(ctx, key, consistent)
}

// GetWithDeclaration implements vending.Reader.
func (s *countingStore) GetWithDeclaration(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, tokenstore.DeclarationRecord, error) {
	s.reads++
	return s.Store.GetWithDeclaration(ctx, key, consistent)
}

// mostlyFromMemory fails when the table was read often enough to be seen in a
// median. Three reads for the first token, and one in ten seconds, are by design.
func mostlyFromMemory(reads, vends int) error {
	if reads > 4+vends/100 {
		return fmt.Errorf("%d of %d vends read the table, not memory", reads, vends)
	}
	return nil
}
