package cli

import (
	"cmp"
	"fmt"
	"io"

	"github.com/tokenvend/tokenvend/pkg/connection"
)

// grantStatus is the status of a delegated connection.
type grantStatus struct {
	Connection string          `json:"connection"`
	State      string          `json:"state"`
	Subjects   []subjectStatus `json:"subjects"`
}

// subjectStatus is the status of one subject's grant.
type subjectStatus struct {
	Subject     string `json:"subject"`
	State       string `json:"state"`
	ConsentedBy string `json:"consented_by"`
	ConsentedAt string `json:"consented_at"`
	RenewBy     string `json:"renew_by"`
	LastError   string `json:"last_error"`
}

// print prints the connection's status, and that of one of its subjects.
func (s grantStatus) print(out io.Writer, subject subjectName) {
	fmt.Fprintf(out, "\n%s is %s\n", s.Connection, s.State)
	for _, one := range s.Subjects {
		if one.Subject != cmp.Or(string(subject), string(connection.DefaultSubject)) {
			continue
		}
		fmt.Fprintf(out, "  subject %s: %s\n", one.Subject, one.State)
		for _, fact := range []struct{ name, value string }{
			{"consented by", one.ConsentedBy}, {"consented at", one.ConsentedAt},
			{"consent again by", one.RenewBy}, {"last error", one.LastError},
		} {
			if fact.value != "" {
				fmt.Fprintf(out, "    %s %s\n", fact.name, fact.value)
			}
		}
	}
}
