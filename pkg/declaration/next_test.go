package declaration_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/digest"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

// declared is a version of a secret, created at second n and read at second read.
func declared(n, read int, change ...func(*connection.Connection)) declaration.Observation {
	c := connection.Connection{
		Name: "crm", SecretVersion: fmt.Sprintf("v%d", n), SecretCreatedAt: at(n), SecretIncarnation: "arn", TokenURL: "https://idp.example.com/token",
		ConfigHash: "config", InputsHash: "inputs", ProofHash: "proof", EarlyRefresh: true,
	}
	for _, edit := range change {
		edit(&c)
	}
	return declaration.Observation{
		Entry:  connection.Entry{Name: "crm", Connection: c},
		Secret: clientsecret.Secret{Name: "crm", VersionID: c.SecretVersion, CreatedAt: c.SecretCreatedAt},
		At:     at(read), MintID: fmt.Sprintf("mint%d", n),
	}
}

func inputs(h string) func(*connection.Connection) {
	return func(c *connection.Connection) { c.InputsHash, c.ConfigHash = h, h }
}

func proof(h string) func(*connection.Connection) {
	return func(c *connection.Connection) { c.ProofHash, c.ConfigHash = h, h }
}

func lateRefresh(c *connection.Connection) { c.EarlyRefresh = false }

func lost(err error, read int) declaration.Observation {
	return declaration.Observation{Entry: connection.Entry{Name: "crm", Err: err}, At: at(read), MayEnd: true}
}

// ending is an observation of a version that has no valid declaration.
func ending(o declaration.Observation, err error) declaration.Observation {
	o.Entry, o.MayEnd = connection.Entry{Name: "crm", Err: err}, true
	return o
}

func observed(t *testing.T, all ...declaration.Observation) declaration.Record {
	t.Helper()
	var r declaration.Record
	for _, o := range all {
		if next, write := r.Next(o); write {
			text, err := next.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if r, err = declaration.Decode(text); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(next, r); diff != "" {
				t.Fatalf("a record changes when it is stored (-want +got):\n%s", diff)
			}
		}
	}
	return r
}

func TestRecordNext_CR21_events(t *testing.T) {
	binary, invalid := fmt.Errorf("x: %w", clientsecret.ErrNoText), errors.New("member scope is a number")
	at60by := func(o declaration.Observation, event string, second int) declaration.Observation {
		o.Event = declaration.Event{Version: event, At: at(second)}
		return o
	}
	read := func(o declaration.Observation) declaration.Observation { o.MayEnd = false; return o }
	for name, c := range map[string]struct {
		before []declaration.Observation
		then   declaration.Observation
		write  bool
		// what the record says afterwards
		version, mint string
		gone          declaration.Reason
	}{
		"CR-21 the first read writes it":              {nil, declared(1, 5), true, "v1", "mint1", ""},
		"CR-21 the same version again writes nothing": {[]declaration.Observation{declared(1, 5)}, declared(1, 9), false, "v1", "mint1", ""},
		"CR-21 an edit of callers keeps the mint id":  {[]declaration.Observation{declared(1, 5)}, declared(2, 9), true, "v2", "mint1", ""},
		"CR-37 an edit of inputs draws another":       {[]declaration.Observation{declared(1, 5)}, declared(2, 9, inputs("b")), true, "v2", "mint2", ""},
		"CR-20 so does another client secret":         {[]declaration.Observation{declared(1, 5)}, declared(2, 9, proof("b")), true, "v2", "mint2", ""},
		"CR-38 and a secret that was created again":   {[]declaration.Observation{declared(1, 5)}, declared(2, 9, func(c *connection.Connection) { c.SecretIncarnation = "arn2" }), true, "v2", "mint2", ""},
		"CR-38 deleted":                                    {[]declaration.Observation{declared(1, 5)}, lost(clientsecret.ErrNotFound, 9), true, "", "mint1", declaration.Deleted},
		"BI-41 no longer a member of its bundle":           {[]declaration.Observation{declared(1, 5)}, lost(connection.ErrNoConnection, 9), true, "", "mint1", declaration.Deleted},
		"FI-35 without a text":                             {[]declaration.Observation{declared(1, 5)}, lost(binary, 9), true, "", "mint1", declaration.Misconfigured},
		"BI-52 refused by the parser":                      {[]declaration.Observation{declared(1, 5)}, lost(invalid, 9), true, "", "mint1", declaration.Misconfigured},
		"BI-52 the version that the parser refuses":        {[]declaration.Observation{declared(1, 5)}, ending(declared(2, 9), invalid), true, "v2", "mint1", declaration.Misconfigured},
		"CR-38 gone twice writes once":                     {[]declaration.Observation{declared(1, 5), lost(binary, 7)}, lost(binary, 9), false, "", "mint1", declaration.Misconfigured},
		"BI-09 what never was declared does not end":       {nil, lost(clientsecret.ErrNotFound, 9), false, "", "", ""},
		"BI-09 one caller ends nothing":                    {[]declaration.Observation{declared(1, 5)}, read(lost(clientsecret.ErrNotFound, 9)), false, "v1", "mint1", ""},
		"CR-38 restored as it was":                         {[]declaration.Observation{declared(1, 5), lost(clientsecret.ErrNotFound, 7)}, declared(1, 9), true, "v1", "mint1", ""},
		"CR-38 restored with the same inputs":              {[]declaration.Observation{declared(1, 5), lost(invalid, 7)}, declared(3, 9), true, "v3", "mint1", ""},
		"CR-38 restored with others":                       {[]declaration.Observation{declared(1, 5), lost(invalid, 7)}, declared(3, 9, inputs("b")), true, "v3", "mint3", ""},
		"CR-21 an older version is noted":                  {[]declaration.Observation{declared(2, 5)}, declared(1, 9), true, "v2", "mint2", ""},
		"CR-21 once":                                       {[]declaration.Observation{declared(2, 5), declared(1, 9)}, declared(1, 12), false, "v2", "mint2", ""},
		"CR-21 two reads 30 s apart confirm it":            {[]declaration.Observation{declared(2, 5), declared(1, 9)}, declared(1, 39), true, "v1", "mint2", ""},
		"CR-21 unless the newer one was read in between":   {[]declaration.Observation{declared(2, 5), declared(1, 9), declared(2, 20)}, declared(1, 39), true, "v2", "mint2", ""},
		"CR-21 a later event confirms it at once":          {[]declaration.Observation{declared(2, 5)}, at60by(declared(1, 9), "v1", 8), true, "v1", "mint2", ""},
		"CR-21 an earlier event does not":                  {[]declaration.Observation{declared(2, 5)}, at60by(declared(1, 9), "v1", 4), true, "v2", "mint2", ""},
		"CR-21 nor does an event of another version":       {[]declaration.Observation{declared(2, 5)}, at60by(declared(1, 9), "v3", 8), true, "v2", "mint2", ""},
		"CR-21 a clock that was set back confirms nothing": {[]declaration.Observation{declared(2, 5), declared(1, 50)}, declared(1, 9), true, "v2", "mint2", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, write := observed(t, c.before...).Next(c.then)
			if write != c.write || r.Version != c.version || r.MintID != c.mint || r.Gone != c.gone {
				t.Errorf("write %v, version %q, mint id %q, gone %q", write, r.Version, r.MintID, r.Gone)
			}
		})
	}
}

func TestRecordMatches_CR21(t *testing.T) {
	listed := func(version string) clientsecret.Version {
		return clientsecret.Version{Name: "crm", ARN: "arn:crm", VersionID: version}
	}
	first := declared(1, 5, func(c *connection.Connection) { c.SecretIncarnation = digest.Short("arn:crm") })
	binary, invalid := fmt.Errorf("x: %w", clientsecret.ErrNoText), errors.New("member scope is a number")
	for name, c := range map[string]struct {
		record []declaration.Observation
		listed clientsecret.Version
		want   bool
	}{
		"the recorded version":                      {[]declaration.Observation{first}, listed("v1"), true},
		"another version":                           {[]declaration.Observation{first}, listed("v2"), false},
		"another secret of that name":               {[]declaration.Observation{first}, clientsecret.Version{Name: "crm", ARN: "arn:other", VersionID: "v1"}, false},
		"no version":                                {[]declaration.Observation{first}, listed(""), false},
		"no secret":                                 {[]declaration.Observation{first}, clientsecret.Version{}, false},
		"deleted, and there is none":                {[]declaration.Observation{first, lost(clientsecret.ErrNotFound, 7)}, clientsecret.Version{}, true},
		"deleted, and it is back":                   {[]declaration.Observation{first, lost(clientsecret.ErrNotFound, 7)}, listed("v1"), false},
		"scheduled for deletion, and still is":      {[]declaration.Observation{first, lost(binary, 7)}, listed(""), true},
		"scheduled for deletion, and restored":      {[]declaration.Observation{first, lost(binary, 7)}, listed("v1"), false},
		"scheduled for deletion, and deleted since": {[]declaration.Observation{first, lost(binary, 7)}, clientsecret.Version{}, false},
		"refused at that version":                   {[]declaration.Observation{first, ending(declared(2, 9), invalid)}, listed("v2"), true},
		"refused, and replaced since":               {[]declaration.Observation{first, ending(declared(2, 9), invalid)}, listed("v3"), false},
	} {
		t.Run(name, func(t *testing.T) {
			r := observed(t, c.record...)
			if got := r.Matches(c.listed); got != c.want || r.Empty() {
				t.Errorf("matches %v, empty %v", got, r.Empty())
			}
			if r.Release--; r.Matches(c.listed) {
				t.Error("a record of an older release matches")
			}
		})
	}
}

// refers is a change of a connection to one that refers to a version of another secret.
func refers(version int) func(*connection.Connection) {
	return func(c *connection.Connection) {
		v := fmt.Sprintf("w%d", version)
		c.References = []connection.Reference{{Member: "client_secret", Secret: "other", Version: v, CreatedAt: at(version), Incarnation: "arn"}}
		c.ProofHash, c.ConfigHash = v, v
	}
}

func TestRecordNext_CR21_references(t *testing.T) {
	rotated := declared(1, 9, refers(2))
	rotated.MintID = "mint2"
	unread := lost(connection.Unread{}, 9)
	for name, c := range map[string]struct {
		before  []declaration.Observation
		then    declaration.Observation
		write   bool
		version string
		mint    string
	}{
		"CR-21 the same version again writes nothing":                    {[]declaration.Observation{declared(1, 5, refers(1))}, declared(1, 9, refers(1)), false, "w1", "mint1"},
		"CR-20 a rotation is another proof":                              {[]declaration.Observation{declared(1, 5, refers(1))}, rotated, true, "w2", "mint2"},
		"CR-21 an older version is noted":                                {[]declaration.Observation{rotated}, declared(1, 12, refers(1)), true, "w2", "mint2"},
		"CR-21 and counts when it is confirmed":                          {[]declaration.Observation{rotated, declared(1, 12, refers(1))}, declared(1, 42, refers(1)), true, "w1", "mint1"},
		"FI-34 one that cannot be read now says nothing":                 {[]declaration.Observation{declared(1, 5, refers(1))}, unread, false, "w1", "mint1"},
		"BI-53 a missing one ends the connection, and keeps the mint id": {[]declaration.Observation{declared(1, 5, refers(1))}, lost(errors.New("missing"), 9), true, "w1", "mint1"},
	} {
		t.Run(name, func(t *testing.T) {
			r, write := observed(t, c.before...).Next(c.then)
			if write != c.write || r.References["other"].Version != c.version || r.MintID != c.mint {
				t.Errorf("write %v, version %q, mint id %q", write, r.References["other"].Version, r.MintID)
			}
		})
	}
	t.Run("CR-22 a record names the versions that it was made of", func(t *testing.T) {
		r := observed(t, rotated)
		if !r.Names(rotated.Entry.Connection) || r.Names(declared(1, 9, refers(1)).Entry.Connection) {
			t.Error("it names others")
		}
	})
}

func TestRecordAccepts_CR21_CR37(t *testing.T) {
	first := declared(1, 5)
	type token struct{ subject, mint, config string }
	accepts := func(r declaration.Record, tok token) bool { return r.Accepts(tok.subject, tok.mint, tok.config, "arn") }
	for name, c := range map[string]struct {
		all    []declaration.Observation
		yes    []token
		refuse []token
	}{
		"CR-21 the record's own and, without a mint id, its declaration's": {[]declaration.Observation{first},
			[]token{{mint: "mint1"}, {config: "config"}, {subject: "ann", mint: "mint1"}}, []token{{mint: "mint0"}, {config: "other"}, {mint: "mint0", config: "config"}}},
		"CR-21 after an edit of callers both": {[]declaration.Observation{first, declared(2, 9, func(c *connection.Connection) { c.ConfigHash = "b" })},
			[]token{{mint: "mint1"}, {config: "config"}, {config: "b"}}, nil},
		"CR-37 after an edit of inputs the new one": {[]declaration.Observation{first, declared(2, 9, inputs("b"))},
			[]token{{mint: "mint2"}, {config: "b"}}, []token{{mint: "mint1"}, {config: "config"}, {subject: "ann", mint: "mint1"}}},
		"CR-20 with another proof the former ones of subjects too": {[]declaration.Observation{first, declared(2, 9, proof("b")), declared(3, 12, proof("c"))},
			[]token{{mint: "mint3"}, {subject: "ann", mint: "mint1"}, {subject: "ann", mint: "mint2"}, {subject: "ann", config: "config"}},
			[]token{{mint: "mint1"}, {mint: "mint2"}, {config: "config"}}},
		"CR-37 but not after another edit": {[]declaration.Observation{first, declared(2, 9, proof("b")), declared(3, 12, proof("b"), inputs("c"))},
			[]token{{mint: "mint3"}}, []token{{subject: "ann", mint: "mint1"}, {subject: "ann", mint: "mint2"}}},
		"OC-47 a server that refuses early refreshes keeps its tokens": {[]declaration.Observation{declared(1, 5, lateRefresh), declared(2, 9, lateRefresh, inputs("b"))},
			[]token{{mint: "mint1"}, {mint: "mint2"}}, nil},
		"OC-47 unless the client is another": {[]declaration.Observation{declared(1, 5, lateRefresh), declared(2, 9, lateRefresh, inputs("b"), func(c *connection.Connection) { c.ClientID = "b" })},
			[]token{{mint: "mint2"}}, []token{{mint: "mint1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := observed(t, c.all...)
			for _, tok := range c.yes {
				if !accepts(r, tok) {
					t.Errorf("refuses %+v", tok)
				}
			}
			for _, tok := range c.refuse {
				if accepts(r, tok) {
					t.Errorf("accepts %+v", tok)
				}
			}
			if r.Accepts("", r.MintID, "", "arn2") {
				t.Error("accepts a token of another secret of that name")
			}
		})
	}
	t.Run("CR-32 without a stored record the loaded declaration judges", func(t *testing.T) {
		r := declaration.Of(first.Entry.Connection)
		if !accepts(r, token{mint: "any", config: "config"}) || accepts(r, token{mint: "any", config: "other"}) {
			t.Error("its hash does not decide")
		}
	})
}

// shared is a record and a secret that ten writers race for.
type shared struct {
	t       *rapid.T
	now     int
	record  declaration.Record
	history []label // of AWSCURRENT
	writes  []int   // when the record was written
	found   string
}

// label is the version that is current from a second on.
type label struct{ version, from int }

func (s *shared) current() label { return s.history[len(s.history)-1] }

// writer is one process between its steps.
type writer struct {
	step   int
	record declaration.Record
	secret int
	readAt int
}

// advance takes one step: record and secret in that order, then the write.
func (w *writer) advance(s *shared, wrongOrder bool, lag int) {
	readsRecord := w.step == 0
	if wrongOrder {
		readsRecord = w.step == 1
	}
	switch {
	case w.step == 2:
		w.write(s)
		w.step = 0
		return
	case readsRecord:
		w.record = s.record
	default:
		w.readAt = s.now
		for i, l := range s.history { // a replica may be lag seconds behind
			if l.from <= s.now-lag || i == 0 {
				w.secret = l.version
			}
		}
	}
	w.step++
}

func (w *writer) write(s *shared) {
	o := declared(w.secret, w.readAt, inputs(fmt.Sprint(w.secret)))
	next, write := w.record.Next(o)
	if !write || w.record.StoredVersion != s.record.StoredVersion {
		return
	}
	before := s.record
	next.StoredVersion = before.StoredVersion + 1
	if next.Version != before.Version && before.StoredVersion > 0 && !s.currentSince(w.secret, s.writes[len(s.writes)-1]) {
		s.found = fmt.Sprintf("v%d replaces %s, after which it never was current", w.secret, before.Version)
	}
	s.record, s.writes = next, append(s.writes, s.now)
}

// currentSince reports whether a version was current at or after a second.
func (s *shared) currentSince(version, second int) bool {
	return slices.ContainsFunc(s.history, func(l label) bool {
		i := slices.Index(s.history, l)
		return l.version == version && (i+1 == len(s.history) || s.history[i+1].from > second)
	})
}

// race lets ten writers take steps in any order while the label moves.
func race(t *rapid.T, wrongOrder bool, maxLag int) *shared {
	s := &shared{t: t, history: []label{{1, 0}}}
	writers := make([]writer, 10)
	for range rapid.IntRange(20, 200).Draw(t, "steps") {
		s.now++
		if rapid.IntRange(0, 9).Draw(t, "what") == 0 {
			s.history = append(s.history, label{rapid.IntRange(1, 4).Draw(t, "version"), s.now})
			continue
		}
		lag := rapid.IntRange(0, maxLag).Draw(t, "lag")
		writers[rapid.IntRange(0, len(writers)-1).Draw(t, "writer")].advance(s, wrongOrder, lag)
	}
	return s
}

func TestRecordWriters_CR21_race(t *testing.T) {
	t.Run("CR-21 no write brings back what was current before the last one", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			if s := race(t, false, 0); s.found != "" {
				t.Fatal(s.found)
			}
		})
	})
	t.Run("CR-21 a writer that reads the secret first is noticed", func(t *testing.T) {
		noticed := false
		for seed := range 500 {
			noticed = noticed || rapid.Custom(func(t *rapid.T) string { return race(t, true, 0).found }).Example(seed) != ""
		}
		if !noticed {
			t.Error("500 races with the wrong order broke nothing")
		}
	})
	t.Run("CR-21 with stale reads the record still becomes the current version", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			s := race(t, false, 20)
			for range 4 { // sweeps, when the replicas have caught up
				s.now += 75
				var w writer
				for range 3 {
					w.advance(s, false, 0)
				}
			}
			if want := fmt.Sprintf("v%d", s.current().version); s.record.Version != want {
				t.Fatalf("the record names %s, want %s", s.record.Version, want)
			}
		})
	})
}
