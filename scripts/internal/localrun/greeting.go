package localrun

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/directory"
	"github.com/tokenvend/tokenvend/pkg/sandbox"
)

// Help explains a local run: its variables, its callers, and the control endpoints
// of its sandbox. program is how the command is called.
func Help(program string) string {
	return `The service runs in one process: connections are files in a folder, tokens are in
memory, and the providers are a sandbox. Requests must be signed with AWS Signature
Version 4, region ` + region + `, service ` + service + `. The command prints the connections
with a curl line for each, and "listening on URL" when it is ready. Ctrl-C ends it.

Environment variables
  ` + addrVariable + `          address of the API, on loopback (default ` + defaultAddr + `)
  ` + sandboxAddrVariable + `  address of the sandbox providers, on loopback (default ` + defaultSandboxAddr + `)
  ` + consoleAddrVariable + `  address of the console, on loopback (default ` + defaultConsoleAddr + `)
  ` + connectionsVariable + `   folder of connection files, NAME.json each (default: the sandbox's own)
  ` + providersVariable + `
                          entries of the provider catalogue, separated by commas, that the sandbox
                          plays too, as in shopify,salesforce. The connections are called as the
                          entry, and ENTRY-user for those that need a consent (default: none)
  ` + renewEveryVariable + `   interval of the renewer, 1s or more (default ` + shortly(defaultRenewEvery) + `): it notices changed,
                          added and deleted files, and renews tokens that are due. Tokens become
                          due by the minute, whatever the interval
  ` + hostsVariable + `         hosts besides loopback that the API and its pages serve, separated by
                          commas; a request with any other Host header gets 403 (default: none)
  ` + sandboxHostsVariable + ` the same for the sandbox; containers of Docker Desktop, as of
                          sam local, reach it as host.docker.internal

Callers (access key id and secret)
` + describeUsers() + `
Consent of users, for delegated connections: ` + program + ` consent start --help

` + sandbox.Help("http://"+defaultSandboxAddr)
}

func describeUsers() (text string) {
	for _, u := range users {
		text += fmt.Sprintf("  %-16s %s\n", u.name+" / "+u.name, u.arn())
	}
	return text
}

// addresses is what the greeting tells of a run.
type addresses struct {
	program         string
	url, sandboxURL string
	connections     string
	// console is what the greeting says of the console; empty without one.
	console string
	// providers are entries of the catalogue that the sandbox plays.
	providers []string
	// ownFolder says that the folder is the run's own, which is removed at the end.
	ownFolder bool
	// noticedWithin is the longest time until an edited file is noticed.
	noticedWithin time.Duration
}

// greet prints every connection, how to get its token, and how to make the sandbox
// fail. Scripts wait for the last line.
func greet(ctx context.Context, w io.Writer, a addresses, d *directory.Directory) error {
	statuses, err := all(ctx, d)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "connections in %s%s\n\n", a.connections, a.removal())
	printTable(w, statuses)
	fmt.Fprintf(w, "\nA changed, added or deleted file is noticed within %s.\n", shortly(a.noticedWithin))
	fmt.Fprintln(w, "\nGet a token, as the caller local:")
	for _, s := range statuses {
		if s.State != directory.Misconfigured {
			fmt.Fprintf(w, "  curl --aws-sigv4 aws:amz:%s:%s --user local:local %s/connections/%s/token\n", region, service, a.url, s.Connection)
		}
	}
	printConsents(w, a, statuses)
	if a.ownFolder {
		printControls(w, a.sandboxURL)
	} else {
		fmt.Fprintf(w, "\nSandbox providers, for your own connections: curl %s/\n", a.sandboxURL)
	}
	if a.console != "" {
		fmt.Fprintf(w, "\n%s\n", a.console)
	}
	_, err = fmt.Fprintf(w, "\nlistening on %s\n", a.url)
	return err
}

// callback is the redirect URI of a connection.
func (a addresses) callback(connection string) string { return a.url + "/callback/" + connection }

func (a addresses) removal() string {
	if a.ownFolder {
		return " (removed at the end)"
	}
	return ""
}

// shortly writes a duration without trailing zeros: 1m instead of 1m0s.
func shortly(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func all(ctx context.Context, d *directory.Directory) (found []directory.Status, err error) {
	for next, first := "", true; first || next != ""; first = false {
		var page []directory.Status
		if page, next, err = d.List(ctx, 1000, next); err != nil {
			return nil, fmt.Errorf("list the connections: %w", err)
		}
		found = append(found, page...)
	}
	return found, nil
}

func printTable(w io.Writer, statuses []directory.Status) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CONNECTION\tPROVIDER\tGRANT TYPE\tSTATE\tPROBLEM")
	for _, s := range statuses {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", s.Connection, orDash(s.Provider), orDash(string(s.GrantType)), s.State, orDash(s.Problem))
	}
	_ = table.Flush() // an error of w shows at the greeting's last line
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// printConsents prints how a user consents to each connection that needs it.
func printConsents(w io.Writer, a addresses, statuses []directory.Status) {
	heading := "\nConsent as a user. The last page shows a code, which the command asks for:\n"
	for _, s := range statuses {
		if s.GrantType != connection.AuthorizationCode || s.State == directory.Misconfigured {
			continue
		}
		fmt.Fprintf(w, "%s  %s consent start%s --open %s\n", heading, a.program, a.urlFlag(), s.Connection)
		fmt.Fprintf(w, "    redirect URI: %s  %s\n", a.callback(s.Connection), a.registration())
		heading = ""
	}
}

// urlFlag is the flag that names the run, unless it is at the default URL.
func (a addresses) urlFlag() string {
	if a.url == "http://"+defaultAddr+"/"+stage {
		return ""
	}
	return " --url " + a.url
}

func (a addresses) registration() string {
	if a.ownFolder {
		return "(registered; not every provider allows loopback)"
	}
	return "(register it with the provider, unless the file has another)"
}

func printControls(w io.Writer, base string) {
	fmt.Fprintf(w, `
Make the sandbox fail:
  curl -X POST '%[1]s/control/creative-force/rotate?update=true'   # a new client secret; issued tokens stop working
  curl -X POST %[1]s/control/cliquify/revoke                       # a connection's tokens stop working
  curl %[1]s/control/agile-now/fault -d '{"status":503,"count":2}' # the next two token requests fail
  curl %[1]s/control                                               # what happened so far
  curl %[1]s/                                                      # every control endpoint
`, base)
}
