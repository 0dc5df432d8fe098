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

func (f *fixture) text(t *testing.T, sessionID string) text {
	t.Helper()
	var m text
	if err := json.Unmarshal(f.store.sessions[hash(sessionID)].Text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// rewrite gives a session members of another's text.
func (f *fixture) rewrite(t *testing.T, sessionID string, from text, members ...string) {
	t.Helper()
	m := maps.Clone(f.text(t, sessionID))
	for _, name := range members {
		if from[name] == nil {
			t.Fatalf("there is no %s to move", name)
		}
		m[name] = from[name]
	}
	s := f.store.sessions[hash(sessionID)]
	var err error
	if s.Text, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	f.store.sessions[s.ID] = s
}

// An attacker who can write sessions can have another session's response encrypted
// to the key of their own. It must not decrypt there.
func TestResponseBelongsToOneSession(t *testing.T) {
	for _, c := range []struct {
		name  string
		moved bool
		code  problem.Code
		words string
	}{
		{"opened in its own", false, "", ""},
		{"moved to the session whose key it was sealed to", true, problem.SessionExpired, "cannot be decrypted"},
	} {
		t.Run("AZ-20 a response "+c.name, func(t *testing.T) {
			f := newFixture()
			theirs, err := f.back.Start(f.ctx, consent.StartRequest{Connection: crm, Principal: other, BaseURL: base})
			expect(t, err, "", "")
			victim := f.start(t)
			if !c.moved {
				victim = theirs
			}
			f.rewrite(t, victim.SessionID, f.text(t, theirs.SessionID), "key")
			b := f.redirect(t, victim.SessionID)
			result, err := f.callback(b, response(b.state))
			expect(t, err, "", "")
			f.rewrite(t, theirs.SessionID, f.text(t, victim.SessionID), "answer", "answered_at", "phase")
			err = f.back.Complete(f.ctx, consent.CompleteRequest{Connection: crm, Principal: other,
				SessionID: redact.New(theirs.SessionID), ConfirmationCode: result.ConfirmationCode})
			expect(t, err, c.code, c.words)
			if got := len(f.core.authorized); (got != 0) == c.moved {
				t.Errorf("%d codes were exchanged", got)
			}
		})
	}
}
