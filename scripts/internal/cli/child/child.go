// Package child runs a program that gets tokens in environment variables and files.
//
// A variable holds the token of the program's start. A file is replaced, atomically,
// whenever the client has another token, so that a program that reads it for each
// request never holds an expired one.
package child

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/tokenvend/tokenvend/pkg/client/tokenvend"
	"github.com/tokenvend/tokenvend/scripts/internal/prompt"
)

// Tokens returns the tokens; a [*tokenvend.Client] does.
type Tokens interface {
	Token(ctx context.Context, connection string, options ...tokenvend.Option) (*tokenvend.Token, error)
}

// Grant is a token for the program.
type Grant struct {
	// To is the name of a variable, or the path of a file.
	To string
	// Connection is the connection's name.
	Connection string
}

// Program is what runs. Every field is required unless it says otherwise.
type Program struct {
	Tokens Tokens
	// Variables and Files say where tokens go; either may be nil.
	Variables, Files []Grant
	// Command is the program and its arguments, and Environment its other variables.
	Command, Environment []string
	In                   io.Reader
	Out, Err             io.Writer
	// Ticks start a look at the client's tokens, which is from memory most of the time.
	Ticks <-chan time.Time
}

// Exit is the exit code of a program that has run: 128 and the signal's number if a
// signal ended it. It is an error for 0 too.
type Exit int

// Error returns the code.
func (e Exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// Run gets the tokens, runs the program, and returns an [Exit] when it has ended. The
// signals of this process reach the program; ctx ends only the wait for the tokens. The
// files are removed at the end.
func (p Program) Run(ctx context.Context) error {
	environment := slices.Clone(p.Environment)
	for _, g := range p.Variables {
		token, err := p.Tokens.Token(ctx, g.Connection)
		if err != nil {
			return err
		}
		environment = append(environment, g.To+"="+token.Value())
	}
	kept := make([]file, len(p.Files))
	defer p.removeFiles()
	for i, g := range p.Files {
		kept[i] = file{Grant: g}
		if err := kept[i].update(ctx, p.Tokens); err != nil {
			return err
		}
	}
	return p.start(ctx, environment, kept)
}

func (p Program) removeFiles() {
	for _, g := range p.Files {
		_ = os.Remove(g.To) // it may not have been written
	}
}

func (p Program) start(ctx context.Context, environment []string, kept []file) error {
	command := exec.Command(p.Command[0], p.Command[1:]...)
	command.Env, command.Stdin, command.Stdout, command.Stderr = environment, p.In, p.Out, p.Err
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, passed...)
	defer signal.Stop(signals)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := command.Start(); err != nil {
		return fmt.Errorf("start the command: %w", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // the program outlives an interrupt
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	for {
		select {
		case s := <-signals:
			if !fromTerminal(s) || !prompt.IsTerminal(p.In) {
				_ = command.Process.Signal(s) // it may have ended
			}
		case <-p.Ticks:
			p.refresh(ctx, kept)
		case err := <-ended:
			return exit(command, err)
		}
	}
}

// refresh replaces the files whose token has changed. A failure is printed, and the file
// keeps what it has.
func (p Program) refresh(ctx context.Context, kept []file) {
	ctx, cancel := context.WithTimeout(ctx, maxRefresh)
	defer cancel()
	for i := range kept {
		err := kept[i].update(ctx, p.Tokens)
		if err != nil && !kept[i].failing {
			fmt.Fprintf(p.Err, "%s keeps the former token: %v\n", kept[i].To, err)
		}
		kept[i].failing = err != nil
	}
}

// maxRefresh bounds the time during which signals wait for a refresh.
const maxRefresh = 2 * time.Second

func exit(command *exec.Cmd, err error) error {
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		return fmt.Errorf("run the command: %w", err)
	}
	if status, ok := command.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return Exit(128 + int(status.Signal()))
	}
	return Exit(command.ProcessState.ExitCode())
}

// file is a file that holds a token.
type file struct {
	Grant
	id      string // of the token in it
	failing bool   // the last update failed
}

// update replaces the file's content when the client has another token.
func (f *file) update(ctx context.Context, tokens Tokens) error {
	token, err := tokens.Token(ctx, f.Connection)
	if err != nil || token.ID == f.id {
		return err
	}
	if err := Replace(f.To, token.Value()); err != nil {
		return fmt.Errorf("write the token of %s: %w", f.Connection, err)
	}
	f.id = token.ID
	return nil
}

// Replace replaces a file atomically. Only this user can read it.
func Replace(path, text string) error {
	draft, err := os.CreateTemp(filepath.Dir(path), ".tokenvend-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name()) // no longer there after the rename
	_, err = draft.WriteString(text)
	if err = errors.Join(err, draft.Close()); err != nil {
		return err
	}
	return os.Rename(draft.Name(), path)
}
