package errand

import (
	"bufio"
	"context"
	"errors"
	"io"
	"strings"
)

// maxLine bounds what is read as one line, in bytes: more than any address or
// refresh token has.
const maxLine = 64 << 10

// ErrNoInput says that what is typed has ended.
var ErrNoInput = errors.New("the input has ended")

// Lines reads what is typed, so that a wait for it can be given up. A reader
// that is given up keeps its goroutine until its next line; the command ends then.
type Lines struct{ lines chan line }

type line struct {
	text string
	err  error
}

// NewLines returns the lines of in, without the white space around them.
func NewLines(in io.Reader) *Lines {
	l := &Lines{lines: make(chan line)}
	go func() {
		defer close(l.lines)
		scanner := bufio.NewScanner(in)
		scanner.Buffer(nil, maxLine)
		for scanner.Scan() {
			l.lines <- line{text: strings.TrimSpace(scanner.Text())}
		}
		if err := scanner.Err(); err != nil {
			l.lines <- line{err: err}
		}
	}()
	return l
}

// next waits for a line. Errors are ErrNoInput, those of reading, and ctx's.
func (l *Lines) next(ctx context.Context) (string, error) {
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case read, more := <-l.lines:
		if !more {
			return "", ErrNoInput
		}
		return read.text, read.err
	}
}
