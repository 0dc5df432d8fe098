package cli

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/scripts/internal/cli/doctor"
)

// doctorCommand finds out why a caller gets no token.
type doctorCommand struct {
	Name    connectionName `arg:"" optional:"" help:"The connection to get a token of; without it, one is listed."`
	Subject subjectName    `placeholder:"NAME" help:"One of many users of a delegated connection; the default subject otherwise."`
}

func (doctorCommand) details() string {
	return `The command makes one request as a caller does, with the caller's credentials, and checks
the host name, the credentials, the clock, the permission, the secret and the provider.
Each failure is printed with its fix, and makes the exit code 1.
`
}

// Run makes the checks and prints them.
func (c doctorCommand) Run(ctx context.Context, s *session) error {
	if c.Name == "" && c.Subject != "" {
		return usage("--subject needs a connection")
	}
	api, err := s.api(ctx)
	if err != nil {
		return err
	}
	d := doctor.Doctor{Client: api, Connection: connection.Name(c.Name), Subject: connection.Subject(c.Subject), Resolve: doctor.Lookup, Now: s.Now}
	if s.Stack != "" {
		_, found, err := s.deployment(ctx)
		if err != nil {
			return err
		}
		d.Statement = found.CallerStatement()
	}
	checks := d.Run(ctx)
	if s.Output == jsonOutput {
		err = printJSON(s.Out, map[string]any{"checks": checks})
	} else {
		err = s.printChecks(checks)
	}
	for _, check := range checks {
		if check.Result == doctor.Failed {
			return errors.Join(err, errors.New("at least one check failed"))
		}
	}
	return err
}

func (s *session) printChecks(checks []doctor.Check) error {
	table := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	for _, check := range checks {
		fmt.Fprintf(table, "%s\t%s\t%s\n", check.Result, check.Name, check.Detail)
		if check.Fix != "" {
			fmt.Fprintf(table, "\t\tfix: %s\n", check.Fix)
		}
	}
	return table.Flush()
}
