package prompt

import (
	"fmt"
	"io"
	"os"
)

// Progress shows on one line of a terminal how far long work is. The zero value
// shows nothing.
type Progress struct{ terminal io.Writer }

// NewProgress returns the progress line on out, or one that shows nothing when out
// is not a terminal: a log file must not fill with intermediate states.
func NewProgress(out io.Writer) Progress {
	if !IsTerminal(out) {
		return Progress{}
	}
	return Progress{terminal: out}
}

// IsTerminal reports whether a stream is a terminal.
func IsTerminal(stream any) bool {
	file, isFile := stream.(*os.File)
	if !isFile {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// eraseLine is the ANSI sequence that clears the line the cursor is on.
const eraseLine = "\r\x1b[K"

// Show replaces the line.
func (p Progress) Show(format string, args ...any) {
	if p.terminal != nil {
		fmt.Fprintf(p.terminal, eraseLine+format, args...)
	}
}

// Done clears the line.
func (p Progress) Done() {
	if p.terminal != nil {
		fmt.Fprint(p.terminal, eraseLine)
	}
}
