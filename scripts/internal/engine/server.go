package engine

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Server is a program that serves on loopback.
type Server struct {
	// URL is its endpoint, without a slash at its end.
	URL string
	// Name is the program's name.
	Name string

	cmd    *exec.Cmd // nil when it was running already
	exited chan struct{}
}

// stopTimeout is how long a server may take to end.
const stopTimeout = 20 * time.Second

// Start runs a server that will listen at url, and returns once it answers
// there with any status. It fails when that takes longer than patience.
func Start(ctx context.Context, cmd *exec.Cmd, url string, patience time.Duration) (*Server, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	name := filepath.Base(cmd.Path)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	s := &Server{URL: url, Name: name, cmd: cmd, exited: make(chan struct{})}
	go func() { _ = cmd.Wait(); close(s.exited) }()
	if err := s.await(ctx, patience); err != nil {
		s.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return s, nil
}

// Close ends a server that Start started.
func (s *Server) Close() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // fails only if it has ended
	select {
	case <-s.exited:
	case <-time.After(stopTimeout):
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
}

// await returns once the server answers anything at all.
func (s *Server) await(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for !answers(ctx, s.URL) {
		select {
		case <-s.exited:
			return fmt.Errorf("it ended: %s", s.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("no answer at %s: %w", s.URL, ctx.Err())
		case <-retry.C:
		}
	}
	return nil
}

func answers(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return true
}
