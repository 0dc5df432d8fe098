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

// delegated is the sandbox's own connection that a user has to consent to.
const delegated = "creative-force-user"

// Help explains a local run in plain text.
func Help() string {
	return `Usage: make run, or go run ./scripts/local

Runs the whole service in one process on this machine: connections from a
folder, tokens in memory, providers in a sandbox. Requests must be signed with
AWS Signature Version 4, region ` + region + `, service ` + service + `.

Variables (unset means the default)
  ` + addrVariable + `          where the API listens, loopback only (` + defaultAddr + `)
  ` + sandboxAddrVariable + `  where the sandbox providers listen, loopback only (` + defaultSandboxAddr + `)
  ` + connectionsVariable + `   a folder of connection files, NAME.json each (the sandbox's own connections)
  ` + renewEveryVariable + `   how often the renewer ticks, 1s or more (` + shortly(defaultRenewEvery) + `): it notices files
                          that were changed, added or deleted, and renews what is due; what is
                          due is a matter of whole minutes, however often it ticks

Callers (access key id and secret)
` + describeUsers() + `
Consent of users, for delegated connections: go run ./scripts/connect -help

` + sandbox.Help("http://"+defaultSandboxAddr)
}

func describeUsers() (text string) {
	for _, u := range users {
		text += fmt.Sprintf("  %-16s %s\n", u.name+" / "+u.name, u.arn())
	}
	return text
}

// place is what a greeting tells of a run.
type place struct {
	url, sandboxURL string
	connections     string
	// ownFolder says that the folder is the sandbox's and will be removed.
	ownFolder bool
	// noticed is how long an edit of a file may go unnoticed.
	noticed time.Duration
}

// greet prints every connection, how to ask for its token, and how to hurt the
// sandbox. The last line is the one that scripts wait for.
func greet(ctx context.Context, w io.Writer, p place, d *directory.Directory) error {
	statuses, err := all(ctx, d)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "connections in %s%s\n\n", p.connections, p.fate())
	printTable(w, statuses)
	fmt.Fprintf(w, "\nA file that is changed, added or deleted there is noticed within %s.\n", shortly(p.noticed))
	fmt.Fprintln(w, "\nAsk for a token, as the caller local:")
	for _, s := range statuses {
		if s.State != directory.Misconfigured {
			fmt.Fprintf(w, "  curl --aws-sigv4 aws:amz:%s:%s --user local:local %s/connections/%s/token\n", region, service, p.url, s.Connection)
		}
	}
	printConsents(w, p, statuses)
	if p.ownFolder {
		printLevers(w, p.sandboxURL)
	} else {
		fmt.Fprintf(w, "\nSandbox providers, for connections of your own: curl %s/\n", p.sandboxURL)
	}
	_, err = fmt.Fprintf(w, "\nlistening on %s\n", p.url)
	return err
}

// callback is where a provider sends the browser of a user who has decided.
func (p place) callback(connection string) string { return p.url + "/callback/" + connection }

func (p place) fate() string {
	if p.ownFolder {
		return " (removed at the end)"
	}
	return ""
}

// shortly writes a duration without the zeros at its end: 1m and not 1m0s.
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
	_ = table.Flush() // what w refuses, the greeting's last line finds out
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// printConsents tells how a user consents, for each connection that needs it.
func printConsents(w io.Writer, p place, statuses []directory.Status) {
	heading := "\nConsent as a user: the browser shows a code in the end, which the command asks for.\n"
	for _, s := range statuses {
		if s.GrantType != connection.AuthorizationCode || s.State == directory.Misconfigured {
			continue
		}
		fmt.Fprintf(w, "%s  go run ./scripts/connect%s -open %s\n", heading, p.flag(), s.Connection)
		fmt.Fprintf(w, "    redirect URI: %s  %s\n", p.callback(s.Connection), p.registered())
		heading = ""
	}
}

// flag tells scripts/connect where the run listens, unless it knows.
func (p place) flag() string {
	if p.url == "http://"+defaultAddr+"/"+stage {
		return ""
	}
	return " -url " + p.url
}

func (p place) registered() string {
	if p.ownFolder {
		return "(registered; the sandbox allows loopback, Creative Force would not)"
	}
	return "(to be registered at the provider, unless the file names another)"
}

func printLevers(w io.Writer, base string) {
	fmt.Fprintf(w, `
Hurt the sandbox:
  curl -X POST '%[1]s/control/creative-force/rotate?update=true'   # a new client secret; issued tokens die
  curl -X POST %[1]s/control/cliquify/revoke                       # a connection's tokens die
  curl %[1]s/control/agile-now/fault -d '{"status":503,"count":2}' # the next two token requests fail
  curl %[1]s/control                                               # what happened so far
  curl %[1]s/                                                      # every lever
`, base)
}
