package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"slices"

	"github.com/tokenvend/tokenvend/scripts/internal/stack"
)

const help = `Usage: go run ./scripts/keyset status|rotate [flags]
       go run ./scripts/keyset drop [flags] KEY
       go run ./scripts/keyset begin [flags]

The keyset seals what is in the table. status tells of its keys. rotate does the
step that is due, and is run twice: first it adds a key; from five minutes later on
it makes that one primary. Run too early, or once more, it changes nothing. What is
stored is sealed anew as it is written: tokens within their life, grants within a
day. drop takes away a key that no longer seals anything, and refuses any other: it
reads the whole table for that.

begin is for a keyset whose keys are lost for good. It makes new ones under the old
names, so that the service takes what the old ones sealed for damaged, instead of
waiting for their return: access tokens are minted anew, grants consented to again.

  -stack STACK   finds keyset and table in the stack, through SAM CLI; or else both of
  -secret ID     the keyset's secret, by name or ARN
  -table NAME    the table
  -consent       means the keyset of the public pages, which seals nothing that is
                 stored; with -secret no -table is needed then
  -again         has rotate begin anew although the last rotation is not a day old
  -yes           does not ask

Credentials and region are those of the environment: AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and AWS_REGION. Those of a profile get
there with:

  eval "$(aws configure export-credentials --format env)"

Exits with 0 when it is done or nothing is due, 1 when it failed, refused or was not
wanted, 2 when it was called wrongly, 3 when it is too early and 130 when it was
interrupted.
`

var errHelp = errors.New("help is wanted")

// options are what the command line says.
type options struct {
	command, key         string
	stack, secret, table string
	consent, again, yes  bool
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("keyset", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.stack, "stack", "", "")
	flags.StringVar(&o.secret, "secret", "", "")
	flags.StringVar(&o.table, "table", "", "")
	flags.BoolVar(&o.consent, "consent", false, "")
	flags.BoolVar(&o.again, "again", false, "")
	flags.BoolVar(&o.yes, "yes", false, "")
	words, err := parseMixed(flags, args)
	if errors.Is(err, flag.ErrHelp) {
		return o, errHelp
	}
	if err != nil {
		return o, err
	}
	return o.check(words)
}

// parseMixed reads flags on both sides of the words.
func parseMixed(flags *flag.FlagSet, args []string) (words []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return words, nil
		}
		words, args = append(words, flags.Arg(0)), flags.Args()[1:]
	}
}

func (o options) check(words []string) (options, error) {
	if len(words) == 0 || !slices.Contains([]string{"status", "rotate", "drop", "begin"}, words[0]) {
		return o, errors.New("the first argument is status, rotate, drop or begin")
	}
	o.command = words[0]
	switch named := words[1:]; {
	case o.command == "drop" && len(named) != 1:
		return o, errors.New("name the key to drop")
	case o.command == "drop":
		o.key = named[0]
	case len(named) > 0:
		return o, errors.New(o.command + " takes no name")
	}
	switch {
	case o.stack != "" && (o.secret != "" || o.table != ""):
		return o, errors.New("-stack stands in place of -secret and -table")
	case o.again && o.command != "rotate":
		return o, errors.New("-again is for rotate")
	case o.stack == "" && (o.secret == "" || o.table == "" && !o.consent):
		return o, errors.New("give -stack, or -secret and -table")
	case o.consent && o.table != "":
		return o, errors.New("nothing in the table is sealed with the keyset of the public pages; leave -table out")
	}
	return o, nil
}

// resolve finds in the stack what was not given.
func (o *options) resolve(ctx context.Context, sam stack.SAM) error {
	if o.stack == "" {
		return nil
	}
	found, err := sam.Resources(ctx, o.stack)
	if err != nil {
		return err
	}
	o.secret, o.table = found["SealingKeyset"], found["Tokens"]
	if o.consent {
		o.secret = found["ConsentKeyset"]
	}
	return nil
}
