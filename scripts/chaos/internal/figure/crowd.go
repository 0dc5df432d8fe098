package figure

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
)

// order is what a crowd is told; each program reads its own members.
type order struct {
	Connection   string `json:"connection,omitempty"`
	TokenURL     string `json:"token_url,omitempty"`
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`
	Callers      int    `json:"callers"`
}

// report is what came of an order, in one process or in all.
type report struct {
	served, failed int
	slowest        time.Duration
}

// crowd is the processes of one program.
type crowd []*member

type member struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

// gather starts the processes. dismiss must be called, also after an error.
func gather(ctx context.Context, f *fleet.Fleet, program string) (crowd, error) {
	var all crowd
	for n := range crowds {
		m, err := join(ctx, program, f.Environment(fmt.Sprintf("crowd-%02d", n)))
		if err != nil {
			return all, fmt.Errorf("start a crowd: %w", err)
		}
		all = append(all, m)
	}
	return all, nil
}

func join(ctx context.Context, program string, environment []string) (*member, error) {
	m := &member{cmd: exec.CommandContext(ctx, program)}
	m.cmd.Env = append(environment, "AWS_REGION=us-east-1", "PATH="+os.Getenv("PATH"))
	m.cmd.Stderr = os.Stderr
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, errIn := m.cmd.StdinPipe()
	out, errOut := m.cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut); err != nil {
		return nil, err
	}
	m.in, m.out = in, bufio.NewScanner(out)
	return m, m.cmd.Start()
}

func (c crowd) dismiss() {
	for _, m := range c {
		_ = m.in.Close()
		_ = m.cmd.Wait()
	}
}

// ask gives every process the same order at once.
func (c crowd) ask(o order) (all report, err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, m := range c {
		wg.Go(func() {
			r, failed := m.ask(o)
			mu.Lock()
			defer mu.Unlock()
			err = errors.Join(err, failed)
			all.served, all.failed = all.served+r.served, all.failed+r.failed
			all.slowest = max(all.slowest, r.slowest)
		})
	}
	wg.Wait()
	return all, err
}

func (m *member) ask(o order) (report, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return report{}, fmt.Errorf("write an order: %w", err)
	}
	if _, err := m.in.Write(append(text, '\n')); err != nil {
		return report{}, fmt.Errorf("give an order: %w", err)
	}
	if !m.out.Scan() {
		return report{}, errors.New("a crowd ended without a report")
	}
	var told struct {
		Served    int            `json:"served"`
		SlowestMS int64          `json:"slowest_ms"`
		Failed    map[string]int `json:"failed"`
	}
	if err := json.Unmarshal(m.out.Bytes(), &told); err != nil {
		return report{}, fmt.Errorf("read a report: %w", err)
	}
	r := report{served: told.Served, slowest: time.Duration(told.SlowestMS) * time.Millisecond}
	for _, n := range told.Failed {
		r.failed += n
	}
	return r, nil
}

// windowed is what came of several windows.
type windowed struct {
	most    int
	slowest time.Duration
	calls   string
}

// windows asks in each of four windows of the failure memory, twice.
func windows(ctx context.Context, f *fleet.Fleet, c crowd, name string) (w windowed, err error) {
	var each []string
	for range 4 {
		before := f.Provider.TokenRequests(name)
		for range 2 {
			r, err := c.ask(order{Connection: name, Callers: callers})
			if err != nil {
				return w, err
			}
			w.slowest = max(w.slowest, r.slowest)
		}
		calls := f.Provider.TokenRequests(name) - before
		w.most = max(w.most, calls)
		each = append(each, fmt.Sprint(calls))
		if err := past(ctx, f, name); err != nil {
			return w, err
		}
	}
	w.calls = strings.Join(each, ", ") + " in the windows"
	return w, nil
}

// past waits until the failure memory of a connection lets somebody try again.
func past(ctx context.Context, f *fleet.Fleet, name string) error {
	for {
		item, err := f.Item(ctx, name)
		if err != nil {
			return err
		}
		left := time.Until(fleet.Instant(item["next_attempt_at"]))
		if left <= 0 {
			return nil
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// compared has the library's callers ask the same failing server once.
func compared(ctx context.Context, f *fleet.Fleet, c Config) (string, error) {
	const name = "compared"
	if err := register(ctx, f, name, sandbox.Fault{Status: 503}); err != nil {
		return "", err
	}
	var declared order
	if err := json.Unmarshal(f.Provider.Connections()[name], &declared); err != nil {
		return "", fmt.Errorf("read a declaration: %w", err)
	}
	declared.Callers = callers
	library, err := gather(ctx, f, filepath.Join(c.Bootstraps, "compare"))
	defer library.dismiss()
	if err != nil {
		return "", err
	}
	// The client is the sandbox's own: id and secret travel to the program alone.
	r, err := library.ask(declared)
	calls := f.Provider.TokenRequests(name) + strangers(f)
	return fmt.Sprintf("%d calls, slowest caller %d ms", calls, r.slowest.Milliseconds()), err
}

// strangers are the requests whose client the sandbox could not tell.
func strangers(f *fleet.Fleet) int { return f.Provider.UnknownClients().Total }
