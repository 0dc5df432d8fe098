package prompt

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// maxLine is the longest line that is read, in bytes. Addresses and refresh tokens
// are shorter.
const maxLine = 64 << 10

// ErrNoInput says that standard input has ended.
var ErrNoInput = errors.New("standard input has ended")

// lines reads lines and lets the reader stop waiting. An abandoned read keeps its
// goroutine until the next line; the command ends before that. A line is read only
// when it is wanted, so that another one can be read without an echo.
type lines struct {
	source io.Reader
	start  sync.Once
	wanted chan struct{}
	read   chan line
}

type line struct {
	text string
	err  error
}

// next waits for a line and returns it without surrounding white space. Reading
// starts at the first call, so what precedes it may read source directly.
func (l *lines) next(ctx context.Context) (string, error) {
	l.start.Do(l.begin)
	select {
	case l.wanted <- struct{}{}:
	default: // the source has ended, or an abandoned read still waits
	}
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case read, more := <-l.read:
		if !more {
			return "", ErrNoInput
		}
		return read.text, read.err
	}
}

func (l *lines) begin() {
	l.wanted, l.read = make(chan struct{}, 1), make(chan line)
	go func() {
		defer close(l.read)
		scanner := bufio.NewScanner(l.source)
		scanner.Buffer(nil, maxLine)
		for range l.wanted {
			if !scanner.Scan() {
				break
			}
			l.read <- line{text: strings.TrimSpace(scanner.Text())}
		}
		if err := scanner.Err(); err != nil {
			l.read <- line{err: err}
		}
	}()
}

// hidden is next for a secret: a terminal does not show what is typed.
func (l *lines) hidden(ctx context.Context) (string, error) {
	file, isFile := l.source.(*os.File)
	if !isFile || !term.IsTerminal(int(file.Fd())) {
		return l.next(ctx)
	}
	before, err := term.GetState(int(file.Fd()))
	if err != nil {
		return "", err
	}
	read := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(int(file.Fd()))
		read <- line{strings.TrimSpace(string(text)), err}
	}()
	select {
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), term.Restore(int(file.Fd()), before))
	case typed := <-read:
		if errors.Is(typed.err, io.EOF) {
			typed.err = ErrNoInput
		}
		return typed.text, typed.err
	}
}
