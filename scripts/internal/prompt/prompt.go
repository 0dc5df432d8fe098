// Package prompt is the terminal side of a command: questions to the operator, and
// the progress of long work.
//
// Every wait for an answer ends with the context, so Ctrl-C works at a question.
package prompt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/redact"
)

// Prompt asks on Out and reads one line per answer.
type Prompt struct {
	in  *lines
	out io.Writer
	yes bool
}

// New returns a Prompt. With yes, every confirmation is given without asking.
func New(in io.Reader, out io.Writer, yes bool) *Prompt {
	return &Prompt{in: &lines{source: in}, out: out, yes: yes}
}

// ErrDeclined says that the operator declined, or could not be asked.
var ErrDeclined = errors.New("nothing was changed")

// Confirm asks a question that only "yes" confirms; any other answer is ErrDeclined.
func (p *Prompt) Confirm(ctx context.Context, question string) error {
	return p.expect(ctx, question+" [y/N] ", "y", "yes")
}

// ConfirmName requires the operator to type a name. It protects what cannot be
// restored from a "yes" given by habit.
func (p *Prompt) ConfirmName(ctx context.Context, question, name string) error {
	return p.expect(ctx, strings.TrimSpace(question+" Type "+name+" to continue:")+" ", name)
}

func (p *Prompt) expect(ctx context.Context, question string, answers ...string) error {
	fmt.Fprint(p.out, question)
	if p.yes {
		fmt.Fprintln(p.out, answers[0])
		return nil
	}
	line, err := p.in.next(ctx)
	if err != nil {
		fmt.Fprintln(p.out)
		if ctx.Err() != nil {
			return err
		}
		return fmt.Errorf("%w: there is no answer on standard input; --yes confirms without asking", ErrDeclined)
	}
	for _, answer := range answers {
		if strings.EqualFold(line, answer) {
			return nil
		}
	}
	return ErrDeclined
}

// Ask asks for a value and returns the first line that is not empty. The answer
// is never printed. Errors are ErrNoInput, those of reading, and ctx's.
func (p *Prompt) Ask(ctx context.Context, name string) (string, error) {
	fmt.Fprintf(p.out, "The %s: ", name)
	for {
		line, err := p.in.next(ctx)
		if err != nil {
			fmt.Fprintln(p.out)
			return "", fmt.Errorf("the %s is missing: %w", name, err)
		}
		if line != "" {
			return line, nil
		}
	}
}

// Value asks for a value. An empty line is the fallback, which the question shows.
// Errors are those of [Prompt.Ask].
func (p *Prompt) Value(ctx context.Context, name, fallback string) (string, error) {
	fmt.Fprint(p.out, name)
	if fallback != "" {
		fmt.Fprintf(p.out, " [%s]", fallback)
	}
	return p.answer(ctx, name, fallback, p.in.next)
}

// Secret asks for a secret. A terminal does not show what is typed, and the answer is
// never printed. It is empty where nothing is typed. Errors are those of [Prompt.Ask].
func (p *Prompt) Secret(ctx context.Context, name string) (redact.Secret, error) {
	fmt.Fprint(p.out, name)
	text, err := p.answer(ctx, name, "", p.in.hidden)
	fmt.Fprintln(p.out) // the line break was not shown either
	return redact.New(text), err
}

func (p *Prompt) answer(ctx context.Context, name, fallback string, next func(context.Context) (string, error)) (string, error) {
	fmt.Fprint(p.out, ": ")
	line, err := next(ctx)
	if err != nil {
		fmt.Fprintln(p.out)
		return "", fmt.Errorf("the answer to %s is missing: %w", name, err)
	}
	return cmp.Or(line, fallback), nil
}
