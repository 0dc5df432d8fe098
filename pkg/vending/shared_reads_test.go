package vending_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestConcurrentCallersShareARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		f.inRealTime(200 * time.Millisecond)
		f.store.before = func(string) { time.Sleep(5 * time.Millisecond) }
		core := f.process()
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() { f.vend(core, crm()) })
		}
		wg.Wait()
		if reads, calls := f.store.count("get"), f.server.calls(); reads != 2 || calls != 1 {
			t.Errorf("FI-01: %d table reads and %d calls to the provider for 1,000 callers, want one of the token, one of an outage, and one call", reads, calls)
		}
	})
}

func TestReadFromBeforeAFreezeIsNotJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		f.inRealTime(0)
		core := f.process()
		slow := 5 * time.Second
		f.store.before = func(operation string) {
			if operation == "get" {
				time.Sleep(slow)
			}
		}
		var wg sync.WaitGroup
		wg.Go(func() { f.vend(core, crm()) })
		time.Sleep(2 * time.Second)
		wg.Go(func() { f.vend(core, crm()) })
		wg.Wait()
		if reads := f.store.count("get"); reads != 4 {
			t.Errorf("FI-38: %d table reads, want two each, of the token and of an outage", reads)
		}
	})
}
