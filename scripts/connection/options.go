package main

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/tokenvend/tokenvend/pkg/connection"
)

const localURL = "http://127.0.0.1:8080/v1"

const help = `Usage: go run ./scripts/connection add [flags] NAME
       go run ./scripts/connection test [flags] NAME

add declares a connection: reads its JSON, checks it as the service will, shows
what it is about to do, asks, and writes the secret. NAME is the connection's, or
BUNDLE.MEMBER for one that shares a secret with others, which is put into it.

  -file FILE     the JSON; without it the standard input. A secret must not be an
                 argument, which all can see
  -try           asks the provider for one token first, and keeps it nowhere
  -replace       gives a connection that is there this declaration
  -stack STACK   takes the address and the statement from the stack, through SAM CLI
  -kms-key ARN   makes the secret under that key of KMS; it must be the stack's KmsKeyArn
  -folder DIR    writes DIR/NAME.json, for the local run, and no secret; providers on
                 loopback are allowed then
  -yes           does not ask

test has the service vend once, and shows all of the answer but the token.

  -url URL       the API with its stage (` + localURL + `)
  -stack STACK   takes the address from the stack, through SAM CLI
  -subject NAME  for one of many users of a delegated connection

Credentials and region are those of the environment: AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and AWS_REGION. Those of a profile get
there with:

  eval "$(aws configure export-credentials --format env)"

SECRET_PREFIX and PROVIDER_ALLOW_CIDRS are what they are to the functions: set them
when the stack's parameters SecretPrefix and ProviderAllowCidrs are set.

Exits with 0 when it is done, 1 when it failed or was not wanted, 2 when it was
called wrongly and 130 when it was interrupted.
`

var (
	errHelp      = errors.New("help is wanted")
	errNoCommand = errors.New("the first argument is add or test")
)

const (
	addCommand  = "add"
	testCommand = "test"
)

// options are what the command line says.
type options struct {
	command string
	name    connection.Name

	file, stack, folder, keyARN string
	try, replace, yes           bool

	url     string
	subject connection.Subject
}

// parse reads the arguments. Flags may stand on both sides of the name.
func parse(args []string) (options, error) {
	var o options
	if len(args) == 0 {
		return o, errNoCommand
	}
	switch args[0] {
	case addCommand, testCommand:
	case "-h", "-help", "--help":
		return o, errHelp
	default:
		return o, errNoCommand
	}
	o.command = args[0]
	subject := ""
	flags := o.flags(&subject)
	names, err := parseMixed(flags, args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return o, errHelp
	}
	if err != nil {
		return o, err
	}
	if len(names) != 1 {
		return o, errors.New("name one connection")
	}
	return o.check(names[0], subject)
}

// flags are those of the command at hand.
func (o *options) flags(subject *string) *flag.FlagSet {
	flags := flag.NewFlagSet(o.command, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.stack, "stack", "", "")
	if o.command == testCommand {
		flags.StringVar(&o.url, "url", "", "")
		flags.StringVar(subject, "subject", "", "")
		return flags
	}
	flags.StringVar(&o.file, "file", "", "")
	flags.StringVar(&o.folder, "folder", "", "")
	flags.StringVar(&o.keyARN, "kms-key", "", "")
	flags.BoolVar(&o.try, "try", false, "")
	flags.BoolVar(&o.replace, "replace", false, "")
	flags.BoolVar(&o.yes, "yes", false, "")
	return flags
}

func parseMixed(flags *flag.FlagSet, args []string) (names []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return names, nil
		}
		names, args = append(names, flags.Arg(0)), flags.Args()[1:]
	}
}

func (o options) check(name, subject string) (options, error) {
	var err error
	if o.name, err = connection.ParseName(name); err != nil {
		return o, err
	}
	switch {
	case o.folder != "" && (o.stack != "" || o.keyARN != ""):
		return o, errors.New("-folder is for the local run, which has no stack")
	case o.url != "" && o.stack != "":
		return o, errors.New("-url and -stack exclude each other")
	case subject == "":
		return o, nil
	}
	o.subject, err = connection.ParseSubject(subject)
	if err == nil && o.subject == connection.DefaultSubject {
		err = fmt.Errorf("leave -subject out for the %s subject", o.subject)
	}
	return o, err
}
