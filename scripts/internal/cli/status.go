package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/scripts/internal/client"
)

// connectionStatus is the status of a connection, or of one subject of a delegated one.
type connectionStatus struct {
	Connection    string             `json:"connection"`
	Subject       string             `json:"subject"`
	Provider      string             `json:"provider"`
	GrantType     string             `json:"grant_type"`
	State         string             `json:"state"`
	ConsentedBy   string             `json:"consented_by"`
	ConsentedAt   string             `json:"consented_at"`
	RenewBy       string             `json:"renew_by"`
	Problem       string             `json:"problem"`
	Warnings      []string           `json:"warnings"`
	LastError     string             `json:"last_error"`
	NextAttemptAt string             `json:"next_attempt_at"`
	Subjects      []connectionStatus `json:"subjects"`
}

// print prints the connection's status, and that of the subject, or of all if it is empty.
func (s connectionStatus) print(out io.Writer, subject string) {
	fmt.Fprintf(out, "%s is %s\n", s.Connection, s.State)
	s.printFacts(out, "  ")
	for _, one := range s.Subjects {
		if subject == "" || one.Subject == subject {
			fmt.Fprintf(out, "  subject %s: %s\n", one.Subject, one.State)
			one.printFacts(out, "    ")
		}
	}
}

func (s connectionStatus) printFacts(out io.Writer, indent string) {
	for _, fact := range []struct{ name, value string }{
		{"provider", s.Provider}, {"grant type", s.GrantType},
		{"consented by", s.ConsentedBy}, {"consented at", s.ConsentedAt}, {"consent again by", s.RenewBy},
		{"problem:", s.Problem}, {"warnings", strings.Join(s.Warnings, ", ")},
		{"last error", s.LastError}, {"next attempt at", s.NextAttemptAt},
	} {
		if fact.value != "" {
			fmt.Fprintf(out, "%s%s %s\n", indent, fact.name, fact.value)
		}
	}
}

// orDefault is the subject's name in a status.
func (s subjectName) orDefault() string {
	return cmp.Or(string(s), string(connection.DefaultSubject))
}

// page is the largest that the API answers.
const page = "?limit=1000"

// collect reads an answer with a list, and the pages that follow, into one answer.
func (s *session) collect(ctx context.Context, api *client.Client, path, list string) (map[string]json.RawMessage, []json.RawMessage, error) {
	var whole map[string]json.RawMessage
	var all []json.RawMessage
	defer s.progress.Done()
	for next := ""; ; {
		address := path + page
		if next != "" {
			address += "&next=" + url.QueryEscape(next)
		}
		answer := map[string]json.RawMessage{}
		if err := api.Call(ctx, http.MethodGet, address, nil, &answer); err != nil {
			return nil, nil, err
		}
		var read []json.RawMessage
		_ = json.Unmarshal(answer[list], &read) // absent where there is no list
		all = append(all, read...)
		if whole == nil {
			whole = answer
		}
		next = ""
		_ = json.Unmarshal(answer["next"], &next) // absent on the last page
		if delete(whole, "next"); next == "" {
			return whole, all, nil
		}
		s.progress.Show("%d read", len(all))
	}
}

// listCommand lists the connections.
type listCommand struct{}

// Run prints every connection with its state.
func (listCommand) Run(ctx context.Context, s *session) error {
	api, err := s.api(ctx)
	if err != nil {
		return err
	}
	_, all, err := s.collect(ctx, api, "/connections", "connections")
	if err != nil {
		return err
	}
	if s.Output == jsonOutput {
		return printJSON(s.Out, map[string]any{"connections": slices.Concat([]json.RawMessage{}, all)})
	}
	table := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CONNECTION\tPROVIDER\tGRANT TYPE\tSTATE\tPROBLEM")
	for _, text := range all {
		var one connectionStatus
		if err := json.Unmarshal(text, &one); err != nil {
			return fmt.Errorf("the status of a connection: %w", err)
		}
		dash := func(text string) string { return cmp.Or(text, "-") }
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", one.Connection, dash(one.Provider), dash(one.GrantType), one.State, dash(cmp.Or(one.Problem, one.LastError)))
	}
	return table.Flush()
}

// getCommand prints the status of a connection.
type getCommand struct {
	Name    connectionName `arg:"" help:"The connection's name."`
	Subject subjectName    `placeholder:"NAME" help:"Only this subject of a delegated connection; all otherwise."`
}

// Run prints the status.
func (c getCommand) Run(ctx context.Context, s *session) error {
	api, err := s.api(ctx)
	if err != nil {
		return err
	}
	whole, subjects, err := s.collect(ctx, api, path(c.Name, ""), "subjects")
	if err != nil {
		return err
	}
	if subjects, err = c.only(subjects); err != nil {
		return err
	}
	if whole["subjects"] != nil {
		if whole["subjects"], err = json.Marshal(subjects); err != nil {
			return err
		}
	}
	if s.Output == jsonOutput {
		return printJSON(s.Out, whole)
	}
	var status connectionStatus
	text, err := json.Marshal(whole)
	if err == nil {
		err = json.Unmarshal(text, &status)
	}
	if err != nil {
		return fmt.Errorf("the status of %s: %w", c.Name, err)
	}
	status.print(s.Out, "")
	return nil
}

// only leaves the subject that --subject names.
func (c getCommand) only(subjects []json.RawMessage) ([]json.RawMessage, error) {
	if c.Subject == "" {
		return slices.Concat([]json.RawMessage{}, subjects), nil
	}
	for _, text := range subjects {
		var one connectionStatus
		if json.Unmarshal(text, &one) == nil && one.Subject == string(c.Subject) {
			return []json.RawMessage{text}, nil
		}
	}
	return nil, fmt.Errorf("%s has no subject %s; a user must consent first: consent start --subject %s %s", c.Name, c.Subject, c.Subject, c.Name)
}
