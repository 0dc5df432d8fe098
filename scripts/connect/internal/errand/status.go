package errand

import (
	"cmp"
	"fmt"

	"github.com/tokenvend/tokenvend/pkg/connection"
)

// Status is how a connection stands.
type Status struct {
	Connection string          `json:"connection"`
	State      string          `json:"state"`
	Subjects   []SubjectStatus `json:"subjects"`
}

// SubjectStatus is how one grant of it stands.
type SubjectStatus struct {
	Subject     string `json:"subject"`
	State       string `json:"state"`
	ConsentedBy string `json:"consented_by"`
	ConsentedAt string `json:"consented_at"`
	RenewBy     string `json:"renew_by"`
	LastError   string `json:"last_error"`
}

// show tells how the connection stands, and of its subjects the one at hand.
func (e Errand) show(s Status) {
	fmt.Fprintf(e.Out, "\n%s is %s\n", s.Connection, s.State)
	for _, one := range s.Subjects {
		if one.Subject != cmp.Or(e.Subject, string(connection.DefaultSubject)) {
			continue
		}
		fmt.Fprintf(e.Out, "  subject %s: %s\n", one.Subject, one.State)
		for _, fact := range []struct{ name, value string }{
			{"consented by", one.ConsentedBy}, {"consented at", one.ConsentedAt},
			{"consent again by", one.RenewBy}, {"last error", one.LastError},
		} {
			if fact.value != "" {
				fmt.Fprintf(e.Out, "    %s %s\n", fact.name, fact.value)
			}
		}
	}
}
