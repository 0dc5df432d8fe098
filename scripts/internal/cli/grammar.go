package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/scripts/internal/stack"
)

// grammar is the command line. The tag globals lists the global flags that a command
// uses: any other one is refused, because the operator would believe that it has an
// effect. The tag interrupted is what to know after an interrupt.
type grammar struct {
	globals `group:"Global flags:"`

	Dev         devCommand   `cmd:"" globals:"" help:"Run the whole service on this machine, with sandbox providers."`
	Token       tokenCommand `cmd:"" globals:"url,stack,profile,region,output" help:"Print a connection's token."`
	Exec        execCommand  `cmd:"" globals:"url,stack,profile,region" help:"Run a program with tokens in its environment or in files."`
	Call        callCommand  `cmd:"" globals:"url,stack,profile,region" help:"Send one request with a token."`
	Connections struct {
		List   listCommand   `cmd:"" name:"ls" globals:"url,stack,profile,region,output" help:"List the connections."`
		Get    getCommand    `cmd:"" globals:"url,stack,profile,region,output" help:"Show the status of a connection."`
		Add    addCommand    `cmd:"" globals:"stack,profile,region,yes" help:"Declare a connection."`
		Test   testCommand   `cmd:"" globals:"url,stack,profile,region,output" help:"Get a token, and print everything about it except the token itself."`
		Remove removeCommand `cmd:"" name:"rm" globals:"stack,profile,region,yes" help:"Remove the declaration of a connection."`
	} `cmd:"" help:"List, declare, test and remove connections."`
	Reject  rejectCommand `cmd:"" globals:"url,stack,profile,region,output" help:"Report a token that a resource server refused, and describe the next one."`
	Forget  forgetCommand `cmd:"" globals:"url,stack,profile,region" help:"Delete the stored token of a connection."`
	Consent struct {
		Start      startCommand      `cmd:"" globals:"url,stack,profile,region" interrupted:"a started consent expires by itself" help:"Have a user consent to a delegated connection in a browser."`
		Import     importCommand     `cmd:"" globals:"url,stack,profile,region" interrupted:"the refresh token may have been imported" help:"Import a refresh token that was obtained elsewhere."`
		Disconnect disconnectCommand `cmd:"" globals:"url,stack,profile,region" interrupted:"the grant may have been revoked" help:"Revoke a grant at the provider and delete it."`
	} `cmd:"" help:"Manage users' consent to delegated connections."`
	Providers struct {
		List listProvidersCommand `cmd:"" name:"ls" globals:"output" help:"List the providers of the catalogue."`
		Get  getProviderCommand   `cmd:"" globals:"output" help:"Show a provider of the catalogue, and what a connection with it gives."`
		New  newProviderCommand   `cmd:"" globals:"" help:"Ask what another provider is like, try it, and print it as a connection declares it."`
	} `cmd:"" help:"Show the catalogue of providers, and describe one that is not in it."`
	Keyset struct {
		Status keysetStatusCommand `cmd:"" globals:"stack,profile,region,output" help:"Show the keys, and how many stored items each seals."`
		Rotate keysetRotateCommand `cmd:"" globals:"stack,profile,region,yes" interrupted:"run it again to continue" help:"Do the next step of a rotation: add a key, or make the added key primary."`
		Drop   keysetDropCommand   `cmd:"" globals:"stack,profile,region,yes" interrupted:"run it again to continue" help:"Remove a key that no longer seals anything."`
		Reset  keysetResetCommand  `cmd:"" globals:"stack,profile,region,yes" interrupted:"run it again to continue" help:"Replace a keyset whose keys are permanently lost."`
	} `cmd:"" help:"Rotate the keysets that seal what is stored."`
	Stack struct {
		Outputs      outputsCommand      `cmd:"" globals:"stack,profile,region,output" help:"Print the outputs of a stack."`
		Delete       deleteStackCommand  `cmd:"" globals:"stack,profile,region,yes" interrupted:"run it again to continue" help:"Delete a stack, and print the commands that delete what it leaves behind."`
		DeleteTable  deleteTableCommand  `cmd:"" globals:"profile,region,yes" interrupted:"run it again to continue" help:"Delete a table that a stack left behind."`
		DeleteSecret deleteSecretCommand `cmd:"" globals:"profile,region,yes" interrupted:"run it again to continue" help:"Schedule the deletion of a secret."`
	} `cmd:"" help:"Show and delete deployed stacks."`
	Console    consoleCommand    `cmd:"" globals:"url,stack,profile,region" help:"Serve a page that shows and manages connections."`
	Doctor     doctorCommand     `cmd:"" globals:"url,stack,profile,region,output" help:"Find out why a caller gets no token."`
	Agent      agentCommand      `cmd:"" globals:"url,stack,profile,region" help:"Serve tokens to the programs of this machine, and forward requests with a token."`
	Completion completionCommand `cmd:"" globals:"" help:"Print a script that completes command lines in a shell."`
	Complete   completeCommand   `cmd:"" hidden:"" globals:"" help:"Print the words that can follow."`
	Version    versionCommand    `cmd:"" globals:"" help:"Print the version."`
}

// globals are the global flags.
type globals struct {
	URL     string `placeholder:"URL" help:"URL of the API with its stage. The variable ${url_variable} replaces the default, ${default_url}."`
	Stack   string `placeholder:"NAME" help:"Stack whose outputs determine the URL, secret prefix, networks, table and keysets."`
	Profile string `placeholder:"NAME" help:"AWS profile; the default is the SDK's credential chain."`
	Region  string `placeholder:"REGION" help:"AWS region; the default is that of the environment or profile."`
	Output  string `short:"o" enum:"text,json" default:"text" placeholder:"FORMAT" help:"Output format: text or json."`
	Yes     bool   `help:"Answer yes to every question."`
}

const description = `An OAuth 2.0 token vending service for AWS.

Exit codes: 0 done, 1 failed or declined, 2 wrong usage, 3 too early (keyset), 130 interrupted.`

// parsed is a command line that is ready to run.
type parsed struct {
	kong    *kong.Context
	session *session
}

// errHelp says that help was printed.
var errHelp = errors.New("help was printed")

// parse parses the arguments. All its errors but errHelp are errors in usage.
func parse(args []string, env Env) (parsed, error) {
	var g grammar
	parser, err := kong.New(&g, kong.Name("tokenvend"), kong.Description(description),
		kong.Writers(env.Out, env.Err), kong.Help(printHelp), kong.Exit(func(int) {}),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 100}),
		kong.Vars{"url_variable": stack.URLVariable, "default_url": defaultURL})
	if err != nil {
		return parsed{}, err
	}
	k, err := parser.Parse(args)
	if failed := (*kong.ParseError)(nil); errors.As(err, &failed) {
		return parsed{}, withHelp(err, env.Program, failed.Context)
	}
	if err == nil {
		err = checkGlobals(k)
	}
	if err != nil {
		return parsed{}, withHelp(err, env.Program, k)
	}
	return parsed{kong: k, session: newSession(env, g.globals)}, nil
}

func (p parsed) run(ctx context.Context) error {
	p.kong.BindTo(ctx, (*context.Context)(nil))
	return p.kong.Run(p.session)
}

// afterInterrupt returns what the operator must know after an interrupt.
func (p parsed) afterInterrupt() string {
	if text := p.kong.Selected().Tag.Get("interrupted"); text != "" {
		return "; " + text
	}
	return ""
}

// checkGlobals refuses global flags that the selected command does not use.
func checkGlobals(k *kong.Context) error {
	for _, element := range k.Path {
		if element.Flag != nil && isGlobal(k, element.Flag) && !uses(k.Selected(), element.Flag) {
			return fmt.Errorf("%s does not use --%s", k.Selected().Path(), element.Flag.Name)
		}
	}
	return nil
}

func isGlobal(k *kong.Context, flag *kong.Flag) bool { return slices.Contains(k.Model.Flags, flag) }

func uses(command *kong.Node, flag *kong.Flag) bool {
	return slices.Contains(strings.Split(command.Tag.Get("globals"), ","), flag.Name)
}

// connectionName is an argument that names a connection.
type connectionName connection.Name

// UnmarshalText refuses what would change the path of a request.
func (n *connectionName) UnmarshalText(text []byte) error {
	name, err := connection.ParseName(string(text))
	*n = connectionName(name)
	return err
}

// subjectName is a flag that names one of many users of a connection; empty means
// the default subject.
type subjectName connection.Subject

// UnmarshalText refuses what would change the path of a request.
func (s *subjectName) UnmarshalText(text []byte) error {
	subject, err := connection.ParseSubject(string(text))
	if err == nil && subject == connection.DefaultSubject {
		err = fmt.Errorf("omit --subject for the %s subject", subject)
	}
	*s = subjectName(subject)
	return err
}
