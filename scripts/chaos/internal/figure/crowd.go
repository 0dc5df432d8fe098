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

// task is what a process of callers is asked to do; each program reads its own
// members.
type task struct {
	Connection   string `json:"connection,omitempty"`
	TokenURL     string `json:"token_url,omitempty"`
	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"`
	Callers      int    `json:"callers"`
}

// result is what came of a task, in one process or in all.
type result struct {
	Served    int   `json:"served"`
	SlowestMS int64 `json:"slowest_ms"`
}

// crowd is the processes of one program.
type crowd []*process

type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

// startCrowd starts the processes. Call stop, also after an error.
func startCrowd(ctx context.Context, f *fleet.Fleet, program string) (crowd, error) {
	var all crowd
	for n := range processes {
		p, err := startProcess(ctx, program, f.Environment(fmt.Sprintf("crowd-%02d", n)))
		if err != nil {
			return all, fmt.Errorf("start %s: %w", filepath.Base(program), err)
		}
		all = append(all, p)
	}
	return all, nil
}

func startProcess(ctx context.Context, program string, environment []string) (*process, error) {
	cmd := exec.CommandContext(ctx, program)
	cmd.Env = append(environment, "AWS_REGION=us-east-1", "PATH="+os.Getenv("PATH"))
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, errIn := cmd.StdinPipe()
	out, errOut := cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut); err != nil {
		return nil, err
	}
	return &process{cmd: cmd, in: in, out: bufio.NewScanner(out)}, cmd.Start()
}

func (c crowd) stop() {
	for _, p := range c {
		_ = p.in.Close()
		_ = p.cmd.Wait()
	}
}

// ask gives every process the same task at once.
func (c crowd) ask(t task) (all result, err error) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, p := range c {
		wg.Go(func() {
			r, failed := p.ask(t)
			mu.Lock()
			defer mu.Unlock()
			err = errors.Join(err, failed)
			all.Served, all.SlowestMS = all.Served+r.Served, max(all.SlowestMS, r.SlowestMS)
		})
	}
	wg.Wait()
	return all, err
}

func (r result) slowest() time.Duration { return time.Duration(r.SlowestMS) * time.Millisecond }

func (p *process) ask(t task) (r result, err error) {
	text, err := json.Marshal(t)
	if err != nil {
		return r, fmt.Errorf("encode a task: %w", err)
	}
	if _, err := p.in.Write(append(text, '\n')); err != nil {
		return r, fmt.Errorf("write a task: %w", err)
	}
	if !p.out.Scan() {
		return r, errors.New("a process of callers ended without a result")
	}
	if err := json.Unmarshal(p.out.Bytes(), &r); err != nil {
		return r, fmt.Errorf("read a result: %w", err)
	}
	return r, nil
}
