package engine

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Server is an engine that runs as a process of its own, on loopback.
type Server struct {
	// URL is its endpoint, without a slash at its end.
	URL string

	cmd    *exec.Cmd
	exited chan struct{}
}

// Close ends it.
func (s *Server) Close() {
	_ = s.cmd.Process.Kill() // one that is dead is as wanted
	<-s.exited
}

// DynamoDBLocal starts Amazon's own engine out of a folder of its jars. All
// access keys share one database, which lives in memory. It listens on every
// interface; no option confines it. What it says goes to output.
func DynamoDBLocal(ctx context.Context, jars string, output io.Writer) (*Server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	return serve(ctx, port, output, "java", "-Djava.library.path="+jars, "-Xmx512m", "-cp", filepath.Join(jars, "*"),
		"software.amazon.dynamodb.services.local.main.ServerRunner", "-inMemory", "-sharedDb", "-disableTelemetry", "-port", port)
}

// Moto starts moto's server, which speaks Secrets Manager's protocol, from the
// folder of the programs of its virtual environment. It is not safe under
// races, and is asked for no table.
func Moto(ctx context.Context, programs string, output io.Writer) (*Server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	return serve(ctx, port, output, filepath.Join(programs, "moto_server"), "-H", "127.0.0.1", "-p", port)
}

// patience is how long an engine may take to start; a Java on a busy machine
// takes its time.
const patience = time.Minute

// serve starts a server and returns once it answers.
func serve(ctx context.Context, port string, output io.Writer, program string, args ...string) (*Server, error) {
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	name := filepath.Base(program)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	s := &Server{URL: "http://127.0.0.1:" + port, cmd: cmd, exited: make(chan struct{})}
	go func() { _ = cmd.Wait(); close(s.exited) }()
	if err := s.await(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return s, nil
}

// await returns once the server answers anything at all.
func (s *Server) await(ctx context.Context) error {
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
