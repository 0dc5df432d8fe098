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
	"sync"
	"syscall"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
)

// order is what a process of callers is asked to do; each program reads its own
// members.
type order struct {
	Connection   string `json:"connection,omitempty"`
	TokenURL     string `json:"token_url,omitempty"`
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`
	Callers      int    `json:"callers"`
}

// report is the result of an order, in one process or in all.
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

// gather starts the processes. Call dismiss, also after an error.
func gather(ctx context.Context, f *fleet.Fleet, program string) (crowd, error) {
	var all crowd
	for n := range processes {
		m, err := join(ctx, program, f.Environment(fmt.Sprintf("crowd-%02d", n)))
		if err != nil {
			return all, fmt.Errorf("start %s: %w", filepath.Base(program), err)
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
		return report{}, errors.New("a process of callers ended without a report")
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
