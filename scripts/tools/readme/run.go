package readme

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ready is what the service prints once it serves.
const ready = "listening on "

// patience limits one script, and the start and end of the service; each may have to
// build first.
const patience = 5 * time.Minute

// Runner runs scripts in one folder. The service that a script starts runs during the
// following scripts, until another is started or Close is called.
type Runner struct {
	// Folder is where every script starts.
	Folder string
	// Env is the scripts' environment.
	Env []string
	// In is the standard input of scripts; nil means none.
	In *os.File

	service *exec.Cmd
	exited  chan error
}

// Run runs one script and compares what it prints, or writes the file of a program.
func (r *Runner) Run(ctx context.Context, b Block) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if b.File != "" {
		return r.save(b)
	}
	run := r.finish
	if b.Serves() {
		run = r.serve
	}
	output, err := run(ctx, b.Script)
	if err != nil {
		return fmt.Errorf("%w, printing\n%s", err, output)
	}
	if b.Prints == nil {
		return nil
	}
	return Compare(b.Prints, output)
}

func (r *Runner) save(b Block) error {
	path := filepath.Join(r.Folder, b.File)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(b.Program), 0o600)
}

// finish runs a script to its end.
func (r *Runner) finish(ctx context.Context, script string) (string, error) {
	command := r.command(ctx, script)
	if r.In != nil {
		command.Stdin = r.In // a *os.File in an interface is never nil
	}
	output, err := command.CombinedOutput()
	return string(output), err
}

// serve starts a script and waits for the service in it to be ready.
func (r *Runner) serve(ctx context.Context, script string) (string, error) {
	if err := r.Close(); err != nil {
		return "", err
	}
	heard := &listener{ready: make(chan struct{})}
	r.service = r.command(context.WithoutCancel(ctx), script)
	r.service.Stdout, r.service.Stderr = heard, heard
	if err := r.service.Start(); err != nil {
		r.service = nil
		return "", err
	}
	r.exited = make(chan error, 1)
	go func(service *exec.Cmd, exited chan<- error) { exited <- service.Wait() }(r.service, r.exited)
	select {
	case <-heard.ready:
		return heard.String(), nil
	case err := <-r.exited:
		r.service = nil
		if err == nil {
			err = errors.New("exit status 0")
		}
		return heard.String(), fmt.Errorf("the service ended before it was ready: %w", err)
	case <-ctx.Done():
		return heard.String(), errors.Join(ctx.Err(), r.Close())
	}
}

// Close ends the service as Ctrl-C does, and fails unless it ends well.
func (r *Runner) Close() error {
	if r.service == nil {
		return nil
	}
	service := r.service
	r.service = nil
	_ = syscall.Kill(-service.Process.Pid, syscall.SIGINT)
	select {
	case err := <-r.exited:
		return ended(err)
	case <-time.After(patience):
		_ = syscall.Kill(-service.Process.Pid, syscall.SIGKILL)
		return errors.New("the service does not end on Ctrl-C")
	}
}

// ended returns an error unless the service ended normally. The shell and make around
// it may report the signal that all of them got.
func ended(err error) error {
	var exit *exec.ExitError
	if err == nil || errors.As(err, &exit) && (exit.ExitCode() == 130 || exit.ExitCode() == -1) {
		return nil
	}
	return fmt.Errorf("the service failed when it ended: %w", err)
}

// command prepares a script. It gets its own process group, so that what it starts
// ends with it, and stops at the first command that fails.
func (r *Runner) command(ctx context.Context, script string) *exec.Cmd {
	command := exec.CommandContext(ctx, "sh", "-e", "-c", script)
	command.Dir, command.Env = r.Folder, r.Env
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	command.WaitDelay = time.Second
	return command
}

// listener keeps what a service prints, and reports when it is ready.
type listener struct {
	ready chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
	seen bool
}

// Write keeps p. The line that reports readiness must be complete.
func (l *listener) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	if _, after, found := strings.Cut(l.text.String(), ready); found && !l.seen && strings.Contains(after, "\n") {
		l.seen = true
		close(l.ready)
	}
	return len(p), nil
}

func (l *listener) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Copy copies the files of a work tree that git tracks or would add.
func Copy(ctx context.Context, from, to string) error {
	list := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = from
	names, err := list.Output()
	if err != nil {
		return fmt.Errorf("list the tree's files: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(names), "\x00"), "\x00") {
		if err := copyFile(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	return nil
}

// copyFile copies one file, unless it is deleted but still tracked.
func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	mode, err := os.Stat(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, text, mode.Mode().Perm())
}
