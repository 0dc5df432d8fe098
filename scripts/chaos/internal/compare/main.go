// Command compare is many callers in one process over golang.org/x/oauth2, for
// comparison with what a careful user of that library gets: one shared
// ReuseTokenSource per process. It is a module of its own, so that the service
// does not depend on what it is measured against.
//
// It reads one JSON object per line, {"token_url":"…","client_id":"…",
// "client_secret":"…","callers":1000}, has so many callers ask at once, and
// writes one JSON object per line: how many were served, the slowest in
// milliseconds, and how many were not.
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

type order struct {
	TokenURL     string `json:"token_url"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	Callers      int    `json:"callers"`
}

type report struct {
	Served    int            `json:"served"`
	SlowestMS int64          `json:"slowest_ms"`
	Failed    map[string]int `json:"failed"`
}

func main() {
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// serve carries out orders until there are no more.
func serve(in io.Reader, out io.Writer) error {
	lines, answers := bufio.NewScanner(in), json.NewEncoder(out)
	for lines.Scan() {
		var o order
		if err := json.Unmarshal(lines.Bytes(), &o); err != nil {
			return fmt.Errorf("read an order: %w", err)
		}
		if err := answers.Encode(ask(o)); err != nil {
			return fmt.Errorf("write a report: %w", err)
		}
	}
	return lines.Err()
}

func ask(o order) report {
	r := report{Failed: map[string]int{}}
	declared := clientcredentials.Config{
		ClientID: o.ClientID, ClientSecret: o.ClientSecret, TokenURL: o.TokenURL, AuthStyle: oauth2.AuthStyleInHeader,
	}
	source := declared.TokenSource(context.Background()) // it reuses what it got
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range o.Callers {
		wg.Go(func() {
			began := time.Now()
			_, err := source.Token()
			took := time.Since(began).Milliseconds()
			mu.Lock()
			defer mu.Unlock()
			r.SlowestMS = max(r.SlowestMS, took)
			if err == nil {
				r.Served++
			} else {
				r.Failed["error"]++
			}
		})
	}
	wg.Wait()
	return r
}
