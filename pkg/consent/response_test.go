package consent_test

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// text is a session's record, member by member, as who can write sessions sees it.
type text map[string]json.RawMessage

func (w *world) text(t *testing.T, sessionID string) text {
	t.Helper()
	var m text
	if err := json.Unmarshal(w.tables.sessions[hash(sessionID)].Text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// rewrite gives a session members of another's text.
func (w *world) rewrite(t *testing.T, sessionID string, from text, members ...string) {
	t.Helper()
	m := maps.Clone(w.text(t, sessionID))
	for _, name := range members {
		if from[name] == nil {
			t.Fatalf("there is no %s to move", name)
		}
		m[name] = from[name]
	}
	s := w.tables.sessions[hash(sessionID)]
	var err error
	if s.Text, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	w.tables.sessions[s.ID] = s
}

// Whoever can write sessions, and has started one, has another's answer sealed
// to the key of that one. It is of no use there.
func TestLetterIsOfOneSession(t *testing.T) {
	for _, c := range []struct {
		name  string
		moved bool
		code  problem.Code
		words string
	}{
		{"opened in its own", false, "", ""},
		{"moved to the session whose key it was sealed to", true, problem.SessionExpired, "cannot be decrypted"},
	} {
		t.Run("AZ-20 an answer "+c.name, func(t *testing.T) {
			w := newWorld()
			theirs, err := w.flow.Start(w.ctx, consent.StartRequest{Connection: crm, Principal: other, BaseURL: base})
			expect(t, err, "", "")
			victim := w.start(t)
			if !c.moved {
				victim = theirs
			}
			w.rewrite(t, victim.SessionID, w.text(t, theirs.SessionID), "key")
			b := w.leave(t, victim.SessionID)
			receipt, err := w.arrive(b, answer(b.state))
			expect(t, err, "", "")
			w.rewrite(t, theirs.SessionID, w.text(t, victim.SessionID), "answer", "answered_at", "phase")
			err = w.flow.Complete(w.ctx, consent.CompleteRequest{Connection: crm, Principal: other,
				SessionID: redact.New(theirs.SessionID), ConfirmationCode: receipt.ConfirmationCode})
			expect(t, err, c.code, c.words)
			if got := len(w.core.adopted); (got != 0) == c.moved {
				t.Errorf("%d codes were exchanged", got)
			}
		})
	}
}
