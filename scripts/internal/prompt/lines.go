package prompt

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
)

// maxLine is the longest line that is read, in bytes. Addresses and refresh tokens
// are shorter.
const maxLine = 64 << 10

// ErrNoInput says that standard input has ended.
var ErrNoInput = errors.New("standard input has ended")

// lines reads lines and lets the reader stop waiting. An abandoned read keeps its
// goroutine until the next line; the command ends before that.
type lines struct {
	source io.Reader
	start  sync.Once
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
	l.read = make(chan line)
	go func() {
		defer close(l.read)
		scanner := bufio.NewScanner(l.source)
		scanner.Buffer(nil, maxLine)
		for scanner.Scan() {
			l.read <- line{text: strings.TrimSpace(scanner.Text())}
		}
		if err := scanner.Err(); err != nil {
			l.read <- line{err: err}
		}
	}()
}
