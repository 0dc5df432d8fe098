// Package prompt asks the person who runs a command.
package prompt

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Asker asks on Out and reads the answers from In, a line each.
type Asker struct {
	in  *bufio.Reader
	out io.Writer
	yes bool
}

// New returns an Asker. With yes it takes every question as answered.
func New(in io.Reader, out io.Writer, yes bool) *Asker {
	return &Asker{in: bufio.NewReader(in), out: out, yes: yes}
}

// ErrDeclined says that the person did not want it, or could not be asked.
var ErrDeclined = errors.New("nothing has been done")

// Agree asks a question that has to be answered with yes. ErrDeclined is any
// other answer.
func (a *Asker) Agree(question string) error {
	return a.want(question+" [y/N] ", "y", "yes")
}

// Type asks the person to type a name, so that nothing is lost by habit. With
// yes nothing is asked: the name stood in the command then.
func (a *Asker) Type(question, name string) error {
	return a.want(strings.TrimSpace(question+" Type "+name+" to go on:")+" ", name)
}

func (a *Asker) want(question string, answers ...string) error {
	fmt.Fprint(a.out, question)
	if a.yes {
		fmt.Fprintln(a.out, answers[0])
		return nil
	}
	line, err := a.in.ReadString('\n')
	if err != nil {
		fmt.Fprintln(a.out)
		return fmt.Errorf("%w: the answer is missing; -yes goes on without asking", ErrDeclined)
	}
	for _, answer := range answers {
		if strings.EqualFold(strings.TrimSpace(line), answer) {
			return nil
		}
	}
	return ErrDeclined
}
