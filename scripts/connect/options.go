package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/scripts/connect/internal/errand"
)

const defaultURL = "http://127.0.0.1:8080/v1"

const help = `Usage: go run ./scripts/connect [flags] CONNECTION

Has a user consent to a delegated connection: starts the consent, prints the
address of the consent page, asks for the confirmation code that the browser
shows in the end, and tells how the connection stands.

  -open            opens the page, with the command in BROWSER or the desktop's own
  -by-hand         prints the provider's own address, and asks for the one at which
                   the browser ended: where the redirect URI is no page of the service's
  -subject NAME    for one of many users of the connection, and not the default one
  -import          no browser: reads a refresh token that was obtained elsewhere, from
                   the standard input: it must not be an argument, which all can see
  -disconnect      no browser: revokes the grant and forgets it
  -url URL         the API with its stage (` + defaultURL + `)

On loopback, requests are signed with the local run's key. For a deployment they
are signed with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN;
the region is the address's own, or AWS_REGION.

Exits with 0 when it is done, 1 when it failed, 2 when it was called wrongly and
130 when it was interrupted.
`

var errHelp = errors.New("help is wanted")

// options are what the command line says.
type options struct {
	connection, subject, url string
	open                     bool
	do                       func(errand.Errand, context.Context) error
}

// parse reads the arguments. Flags may stand on both sides of the name.
func parse(args []string) (options, error) {
	var o options
	var byHand, imported, disconnect bool
	flags := flag.NewFlagSet("connect", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.url, "url", defaultURL, "")
	flags.StringVar(&o.subject, "subject", "", "")
	flags.BoolVar(&o.open, "open", false, "")
	flags.BoolVar(&byHand, "by-hand", false, "")
	flags.BoolVar(&imported, "import", false, "")
	flags.BoolVar(&disconnect, "disconnect", false, "")
	names, err := parseMixed(flags, args)
	if errors.Is(err, flag.ErrHelp) {
		return o, errHelp
	}
	if err != nil {
		return o, err
	}
	if len(names) != 1 {
		return o, errors.New("name one connection")
	}
	o.connection = names[0]
	if err := o.checkNames(); err != nil {
		return o, err
	}
	return o.choose(byHand, imported, disconnect)
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

// checkNames refuses what would make another path of the request.
func (o options) checkNames() error {
	if _, err := connection.ParseName(o.connection); err != nil {
		return err
	}
	if o.subject == "" {
		return nil
	}
	s, err := connection.ParseSubject(o.subject)
	if err == nil && s == connection.DefaultSubject {
		err = fmt.Errorf("leave -subject out for the %s subject", s)
	}
	return err
}

func (o options) choose(byHand, imported, disconnect bool) (options, error) {
	switch {
	case byHand && imported, byHand && disconnect, imported && disconnect:
		return o, errors.New("-by-hand, -import and -disconnect exclude each other")
	case o.open && (imported || disconnect):
		return o, errors.New("-open is for a consent in a browser")
	case imported:
		o.do = errand.Errand.Import
	case disconnect:
		o.do = errand.Errand.Disconnect
	case byHand:
		o.do = errand.Errand.ByHand
	default:
		o.do = errand.Errand.Consent
	}
	return o, nil
}
