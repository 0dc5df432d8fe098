package cli

import (
	"context"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/scripts/internal/cli/child"
)

// execCommand runs a program with tokens.
type execCommand struct {
	Env     []string `sep:"none" placeholder:"VAR=NAME" help:"Set the variable VAR to the token of the connection NAME. May be repeated."`
	File    []string `sep:"none" placeholder:"PATH=NAME" help:"Keep the token of the connection NAME in the file PATH, which only this user can read, while COMMAND runs. May be repeated."`
	Command []string `arg:"" name:"command" help:"After --, the program and its arguments."`
}

func (execCommand) details() string {
	return `Signals are passed to COMMAND, and its exit code is that of this command: 128 and the
signal's number if a signal ended it. A variable does not change while COMMAND runs; a
file is replaced whenever there is a newer token.
`
}

// variableName is the name of an environment variable.
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// lookInterval is the time between two looks at the client's tokens.
const lookInterval = 2 * time.Second

// Run runs the program.
func (c execCommand) Run(ctx context.Context, s *session) error {
	if len(c.Env)+len(c.File) == 0 {
		return usage("name a connection with --env VAR=NAME or --file PATH=NAME")
	}
	variables, err := grants("--env", c.Env)
	if err != nil {
		return err
	}
	for _, g := range variables {
		if !variableName.MatchString(g.To) {
			return usage("--env: %q is no name of a variable", g.To)
		}
	}
	files, err := grants("--file", c.File)
	if err != nil {
		return err
	}
	client, err := s.tokens(ctx)
	if err != nil {
		return err
	}
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	return child.Program{
		Tokens: client, Variables: variables, Files: files, Command: c.Command, Environment: os.Environ(),
		In: s.In, Out: s.Out, Err: s.Err, Ticks: ticker.C,
	}.Run(ctx)
}

// grants reads values of the form TO=NAME. A path may contain the sign.
func grants(flag string, values []string) ([]child.Grant, error) {
	var all []child.Grant
	for _, value := range values {
		at := strings.LastIndex(value, "=")
		if at <= 0 {
			return nil, usage("%s %s has no connection; write %s TO=NAME", flag, value, flag)
		}
		name, err := connection.ParseName(value[at+1:])
		if err != nil {
			return nil, usage("%s %s: %w", flag, value, err)
		}
		all = append(all, child.Grant{To: value[:at], Connection: string(name)})
	}
	return all, nil
}
