package main

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/tokenvend/tokenvend/scripts/chaos/internal/scenario"
)

// atOnce scenarios run at a time. Most of them wait most of the time.
const atOnce = 4

// perform runs the scenarios and returns their results in the same order:
// first those that share the machine, then one by one those that must not.
func perform(ctx context.Context, c scenario.Config, all []scenario.Scenario, progress io.Writer) []scenario.Result {
	results := make([]scenario.Result, len(all))
	var mu sync.Mutex
	one := func(i int) {
		r := all[i].Run(ctx, c)
		mu.Lock()
		defer mu.Unlock()
		results[i] = r
		show(progress, r)
	}
	slots := make(chan struct{}, atOnce)
	var wg sync.WaitGroup
	for i, s := range all {
		if s.Alone || ctx.Err() != nil {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() { defer func() { <-slots }(); one(i) })
	}
	wg.Wait()
	for i, s := range all {
		if s.Alone && ctx.Err() == nil {
			one(i)
		}
	}
	return results
}

func show(progress io.Writer, r scenario.Result) {
	fmt.Fprintf(progress, "%-4s  %s %s (%.1f s)\n", verdict(r), r.ID, r.Title, r.Took.Seconds())
	for _, broken := range r.Broken {
		fmt.Fprintln(progress, "      ", broken)
	}
}

func verdict(r scenario.Result) string {
	if r.Passed() {
		return "pass"
	}
	return "FAIL"
}
