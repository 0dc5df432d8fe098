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
	file, isFile := out.(*os.File)
	if !isFile {
		return Progress{}
	}
	if info, err := file.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return Progress{}
	}
	return Progress{terminal: out}
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
