// Command crowd is many callers in one process: the vend function's own parts,
// composed from the environment as the function does, and as many goroutines
// over them as it is told. It stands for a fleet larger than a machine can run.
//
// It reads one JSON object per line, {"connection":"…","callers":1000}, has so
// many callers ask at once, and writes one JSON object per line: how many were
// served, the slowest in milliseconds, and what the others got.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/assembly/fromenv"
	"github.com/tokenvend/tokenvend/pkg/config"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// patience is what a function has for one invocation.
const patience = 28 * time.Second

type order struct {
	Connection string `json:"connection"`
	Callers    int    `json:"callers"`
}

type report struct {
	Served    int            `json:"served"`
	SlowestMS int64          `json:"slowest_ms"`
	Failed    map[string]int `json:"failed"`
}

func main() {
	function, err := fromenv.Load(os.LookupEnv, io.Discard, config.TokenTable, config.SecretPrefix, config.SealingSecretID,
		config.LogLevel, config.ProviderAllowCIDRs)
	if err != nil {
		fmt.Fprintf(os.Stderr, "crowd cannot start:\n%v\n", err)
		os.Exit(1)
	}
	if err := serve(function.Core(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "crowd:", err)
		os.Exit(1)
	}
}

// serve carries out orders until there are no more.
func serve(core *vending.Core, in io.Reader, out io.Writer) error {
	lines, answers := bufio.NewScanner(in), json.NewEncoder(out)
	for lines.Scan() {
		var o order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return fmt.Errorf("read an order: %w", err)
		}
		if err := answers.Encode(ask(core, o)); err != nil {
			return fmt.Errorf("write a report: %w", err)
		}
	}
	return lines.Err()
}

func ask(core *vending.Core, o order) report {
	r := report{Failed: map[string]int{}}
	var mu sync.Mutex
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for range o.Callers {
		wg.Go(func() {
			began := time.Now()
			_, err := core.Vend(ctx, vending.Request{Connection: connection.Name(o.Connection), Caller: "arn:aws:iam::111122223333:role/app"})
			took := time.Since(began).Milliseconds()
			mu.Lock()
			defer mu.Unlock()
			r.SlowestMS = max(r.SlowestMS, took)
			if err == nil {
				r.Served++
			} else {
				r.Failed[string(problem.Of(err).Code)]++
			}
		})
	}
	wg.Wait()
	return r
}
