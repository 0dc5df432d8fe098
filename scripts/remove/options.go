package main

import (
	"errors"
	"flag"
	"io"
)

const help = `Usage: go run ./scripts/remove -stack STACK
       go run ./scripts/remove -table NAME
       go run ./scripts/remove -secret NAME

Takes one thing away at a time, after its name has been typed once more.

  -stack STACK   deletes the stack, through SAM CLI, and names what stays: the table,
                 because it may hold the only living refresh tokens; the keysets,
                 without which the table cannot be read; the connections' secrets,
                 which the stack did not make; the role that API Gateway writes logs
                 with, which other APIs may have come to rely on
  -table NAME    takes the table's protection off and deletes it, with every token
                 and grant. Grants stay valid at the providers: disconnect them first.
                 DynamoDB keeps a backup for 35 days
  -secret NAME   has a secret deleted, a keyset's or a connection's, by name or ARN.
                 For 30 days it can be brought back
  -yes           does not ask

Credentials and region are those of the environment: AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and AWS_REGION. Those of a profile get
there with:

  eval "$(aws configure export-credentials --format env)"

Exits with 0 when it is done, 1 when it failed or was not wanted, 2 when it was
called wrongly and 130 when it was interrupted.
`

var errHelp = errors.New("help is wanted")

// options are what the command line says; exactly one of the names is set.
type options struct {
	stack, table, secret string
	yes                  bool
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("remove", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.stack, "stack", "", "")
	flags.StringVar(&o.table, "table", "", "")
	flags.StringVar(&o.secret, "secret", "", "")
	flags.BoolVar(&o.yes, "yes", false, "")
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return o, errHelp
	}
	if err != nil {
		return o, err
	}
	named := 0
	for _, name := range []string{o.stack, o.table, o.secret} {
		if name != "" {
			named++
		}
	}
	if named != 1 || flags.NArg() > 0 {
		return o, errors.New("name one stack, table or secret")
	}
	return o, nil
}
