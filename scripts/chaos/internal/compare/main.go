// Command compare is many callers in one process over golang.org/x/oauth2, for
// comparison with what a careful user of that library gets: one shared
// ReuseTokenSource per process. It is a module of its own, so that the service
// does not depend on what it is compared with.
//
// It reads one JSON object per line, {"token_url":"…","client_id":"…",
// "client_secret":"…","callers":1000}, makes so many calls at once, and writes
// one JSON object per line: how many callers were served, and how long the
// slowest waited in milliseconds.
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

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

type task struct {
	TokenURL     string `json:"token_url"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	Callers      int    `json:"callers"`
}

type result struct {
	Served    int   `json:"served"`
	SlowestMS int64 `json:"slowest_ms"`
}

func main() {
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// serve does tasks until there are no more.
func serve(in io.Reader, out io.Writer) error {
	lines, answers := bufio.NewScanner(in), json.NewEncoder(out)
	for lines.Scan() {
		var t task
		if err := json.Unmarshal(lines.Bytes(), &t); err != nil {
			return fmt.Errorf("read a task: %w", err)
		}
		if err := answers.Encode(ask(t)); err != nil {
			return fmt.Errorf("write a result: %w", err)
		}
	}
	return lines.Err()
}

func ask(t task) result {
	var r result
	declared := clientcredentials.Config{
		ClientID: t.ClientID, ClientSecret: t.ClientSecret, TokenURL: t.TokenURL, AuthStyle: oauth2.AuthStyleInHeader,
	}
	source := declared.TokenSource(context.Background()) // it caches the token
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range t.Callers {
		wg.Go(func() {
			began := time.Now()
			_, err := source.Token()
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
