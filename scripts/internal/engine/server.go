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

	cmd    *exec.Cmd
	exited chan struct{}
}

// farewell is how long a server may take to end.
const farewell = 20 * time.Second

// Start runs a server that will listen at url, and returns once it answers
// there; how is its own affair. It fails when that takes longer than patience.
func Start(ctx context.Context, cmd *exec.Cmd, url string, patience time.Duration) (*Server, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	name := filepath.Base(cmd.Path)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	s := &Server{URL: url, cmd: cmd, exited: make(chan struct{})}
	go func() { _ = cmd.Wait(); close(s.exited) }()
	if err := s.await(ctx, patience); err != nil {
		s.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return s, nil
}

// Close asks it to end, and kills it when it does not.
func (s *Server) Close() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // one that is dead is as wanted
	select {
	case <-s.exited:
	case <-time.After(farewell):
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
}

// await returns once the server answers anything at all.
func (s *Server) await(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for !answers(ctx, s.URL) {
		select {
		case <-s.exited:
			return fmt.Errorf("it ended: %s", s.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("no answer at %s: %w", s.URL, ctx.Err())
		case <-again.C:
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
