package browser_test

import (
	"bufio"
	"context"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/localproc"
	"github.com/tokenvend/tokenvend/scripts/internal/localrun"
	"github.com/tokenvend/tokenvend/scripts/tools/browser"
)

// newExpiryEnv runs the service in this process, with a clock that can be advanced: a
// session lives for ten minutes.
func newExpiryEnv(t *testing.T) (e *env, advance func(time.Duration)) {
	b := startBrowser(t)
	ctx, cancel := context.WithCancel(t.Context())
	reader, writer := io.Pipe()
	ended := make(chan error, 1)
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	go func() {
		err := localrun.Run(ctx, localrun.Settings{Addr: "127.0.0.1:0", SandboxAddr: "127.0.0.1:0"},
			localrun.Env{Out: writer, Log: io.Discard, Now: now, Ticks: make(chan time.Time)})
		_ = writer.CloseWithError(io.EOF)
		ended <- err
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	run := new(localproc.Run)
	if err := run.Await(bufio.NewReader(reader)); err != nil {
		t.Fatal(err)
	}
	e = &env{T: t, browser: b, run: run, now: now, secrets: &secrets{kinds: map[string]string{}}}
	return e, func(d time.Duration) { ahead.Add(int64(d)) }
}

func TestExpiry(t *testing.T) {
	e, advance := newExpiryEnv(t)
	t.Run("FI-44 consent page opened too late", func(t *testing.T) {
		s := e.start(t, "late")
		v := e.open(t, "late", browser.Looks{})
		advance(11 * time.Minute)
		v.must(v.Open(s.consentURL))
		v.expectPage("expired", 410, "This consent is over")
	})
	t.Run("FI-44 continued too late", func(t *testing.T) {
		s := e.start(t, "slow")
		v := e.open(t, "slow", browser.Looks{Dark: true})
		v.must(v.Open(s.consentURL))
		advance(11 * time.Minute)
		v.must(v.Follow(continueButton))
		v.expectPage("stale-form", 400, "This page cannot go on")
		v.must(v.Open(s.consentURL))
		v.expectPage("expired", 410, "This consent is over")
	})
	t.Run("FI-44 back from the provider after 11 minutes", func(t *testing.T) {
		s := e.start(t, "eleven")
		v := e.open(t, "eleven", browser.Looks{Phone: true})
		v.openPermission(s)
		advance(11 * time.Minute)
		v.must(v.Follow(allowButton))
		v.expectPage("expired", 410, "This consent is over")
		if got := e.ask(t, "local", "GET", s.path+"/token", nil); got.Status != 409 {
			t.Errorf("token: %v", got)
		}
	})
	t.Run("BI-23 completed after half an hour", func(t *testing.T) {
		s := e.start(t, "forgotten")
		code := e.open(t, "forgotten", browser.Looks{}).allow(s)
		advance(31 * time.Minute)
		got := e.complete(t, "local", s, code)
		if got.Status != 410 || !strings.Contains(got.Text("detail"), "expired") {
			t.Errorf("complete: %v", got)
		}
	})
}
