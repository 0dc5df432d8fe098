// Package measure takes the figures that the design aims at: how fast the built
// functions are, how large, what they ask of the table, and how the renewer
// keeps tokens fresh. Everything runs on this machine, on what is built from
// this tree, against services on loopback that answer at once.
//
// A measurement checks that it times what its row says: that the token came
// from memory and not from the table, that the answer is the token and not an
// error.
package measure

import (
	"compress/flate"
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/scorecard"
)

// Config is one run.
type Config struct {
	// Short takes almost no repetitions: it shows that everything works, and its
	// figures mean nothing.
	Short bool
	// Renewals takes the rows of the renewer too.
	Renewals bool
	// Progress gets a line for each measurement.
	Progress io.Writer
	// Folder holds what is built; empty means a temporary one.
	Folder string
}

// effort is how much is repeated.
type effort struct {
	// cold and throttled count cold starts; batches and invocations make warm ones.
	cold, throttled, batches, invocations int
	// decisions counts batches in process, of as many events as perBatch.
	decisions, perBatch int
	// rounds of load, each of that duration.
	rounds int
	round  time.Duration
	// level is the archive's compression level.
	level int
}

var (
	full = effort{
		cold: 120, throttled: 60, batches: 40, invocations: 200, decisions: 60, perBatch: 500, rounds: 9, round: time.Second,
		level: flate.BestCompression,
	}
	short = effort{
		cold: 1, throttled: 1, batches: 1, invocations: 2, decisions: 1, perBatch: 2, rounds: 1, round: 20 * time.Millisecond,
		level: flate.BestSpeed,
	}
)

// bench is a run.
type bench struct {
	effort
	built built
}

// measurement makes one row; All adds What, Aim and Err.
type measurement struct {
	what, aim string
	take      func(*bench, context.Context) (scorecard.Row, error)
}

var measurements = []measurement{
	{"cold: exec → first response with a table read (loopback TLS, one trusted root), vs hello world", coldAim.String(), (*bench).cold},
	{"first invoke with a table read at 256 MB's CPU share, INIT at full speed, vs hello world", "", (*bench).throttled},
	{"vend zip (stripped)", zipAim, (*bench).zip},
	{"warm invoke served from memory, vs hello world", warmAim.String(), (*bench).warm},
	{"gateway event → response in process, memory hit, vs decoding the typed event", decodeAim.String(), (*bench).gateway},
	{"local API server (SigV4 verified) vs bare net/http, requests per second", serverAim.String(), (*bench).server},
	{"table cost of a vend from the table (eventually consistent) / of a renewal, 300-byte token", costAim, (*bench).cost},
	{"table cost of the same for a delegated connection, 300-byte access and refresh tokens", userCostAim, (*bench).userCost},
	{"a caller's token from the memory of the Go client, vs oauth2.ReuseTokenSource", warmTokenAim, (*bench).warmToken},
	{"requests to the API per 1,000 calls of an application in an hour, 10 processes, one-hour token", requestsAim, (*bench).callersRequests},
	{"requests per second through the agent, vs a bare reverse proxy", agentAim.String(), (*bench).agent},
	{"time that the agent adds to a request, in the mean of batches", latencyAim, (*bench).agentLatency},
}

// All takes every measurement. One that fails leaves its error in its row.
func All(ctx context.Context, c Config) ([]scorecard.Row, error) {
	if c.Folder == "" {
		folder, err := os.MkdirTemp("", "tokenvend-bench-")
		if err != nil {
			return nil, fmt.Errorf("make a folder to build in: %w", err)
		}
		defer os.RemoveAll(folder)
		c.Folder = folder
	}
	b := &bench{effort: full}
	if c.Short {
		b.effort = short
	}
	fmt.Fprintln(c.Progress, "build")
	var err error
	if b.built, err = build(ctx, c.Folder); err != nil {
		return nil, err
	}
	var rows []scorecard.Row
	for _, m := range measurements {
		fmt.Fprintln(c.Progress, m.what)
		row, err := m.take(b, ctx)
		row.What, row.Aim, row.Err = m.what, m.aim, err
		rows = append(rows, row)
	}
	if c.Renewals {
		fmt.Fprintln(c.Progress, renewing)
		rows = append(rows, renewals(ctx, c)...)
	}
	return rows, nil
}
