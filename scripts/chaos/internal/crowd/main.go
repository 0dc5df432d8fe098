// Command crowd is many callers in one process: the vend function's core,
// composed from the environment as the function does it, and many goroutines
// that call it. It takes the place of more environments than a machine can run.
//
// It reads one JSON object per line, {"connection":"…","callers":1000}, makes so
// many calls at once, and writes one JSON object per line: how many callers were
// served, and how long the slowest waited in milliseconds.
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
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// timeout is that of the function.
const timeout = 28 * time.Second

type task struct {
	Connection string `json:"connection"`
	Callers    int    `json:"callers"`
}

type result struct {
	Served    int   `json:"served"`
	SlowestMS int64 `json:"slowest_ms"`
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

// serve does tasks until there are no more.
func serve(core *vending.Core, in io.Reader, out io.Writer) error {
	lines, answers := bufio.NewScanner(in), json.NewEncoder(out)
	for lines.Scan() {
		var t task
		if err := json.Unmarshal(lines.Bytes(), &t); err != nil {
			return fmt.Errorf("read a task: %w", err)
		}
		if err := answers.Encode(ask(core, t)); err != nil {
			return fmt.Errorf("write a result: %w", err)
		}
	}
	return lines.Err()
}

func ask(core *vending.Core, t task) result {
	var r result
	var mu sync.Mutex
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	for range t.Callers {
		wg.Go(func() {
			began := time.Now()
			_, err := core.Vend(ctx, vending.Request{Connection: connection.Name(t.Connection), Caller: "arn:aws:iam::111122223333:role/app"})
			took := time.Since(began).Milliseconds()
			mu.Lock()
			defer mu.Unlock()
			r.SlowestMS = max(r.SlowestMS, took)
			if err == nil {
				r.Served++
			}
		})
	}
	wg.Wait()
	return r
}
