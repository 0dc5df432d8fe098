package vending_test

import (
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// grantOracle follows every refresh token from the server into the table and checks
// each step against the invariants.
type grantOracle struct {
	w            *grantEnv
	acquisitions map[string]*acquisition       // by owner of the lease
	holds        map[*operation]*acquisition   // the latest of each
	dead         map[string]invalidGrantReport // by fingerprint
	kills        map[string]int                // by the call before which it happened

	presented, reused int
}

// invalidGrantReport is an invalid_grant of the server.
type invalidGrantReport struct {
	// turn is when it was shared, at when the refused request began.
	turn int
	at   time.Time
}

// acquisition is one acquisition of a lease.
type acquisition struct {
	op    *operation
	at    time.Time // by its own clock, when it asked
	owner string
	turn  int
	spent *refreshTokenState
	calls int
}

func newGrantOracle(w *grantEnv) *grantOracle {
	return &grantOracle{w: w, acquisitions: map[string]*acquisition{}, holds: map[*operation]*acquisition{}, dead: map[string]invalidGrantReport{}, kills: map[string]int{}}
}

func (l *grantOracle) acquired(op *operation, a tokenstore.Acquire, _ tokenstore.Item, err error) {
	if err != nil || l.acquisitions[a.Owner] != nil {
		return
	}
	l.acquisitions[a.Owner] = &acquisition{op: op, at: a.Now.Add(-op.process.offset), owner: a.Owner, turn: l.w.turn}
	l.holds[op] = l.acquisitions[a.Owner]
}

// decided checks a process that is about to send a refresh token against the table
// at that time: no newer one, no invalid_grant for it, and no attempt with an
// unknown outcome while the old access token is still valid.
func (l *grantOracle) decided(op *operation, r oauth.Request) {
	t, h := l.holds[op], l.w.idp.handles[r.RefreshToken.Reveal()]
	if h == nil {
		return
	}
	item := l.w.stored(keyOf(op.key))
	doubting := op.request.RejectedTokenID != "" || strings.HasPrefix(op.text, imports)
	importing := strings.HasPrefix(op.text, imports) && item.Grant.Fingerprint != printOf(h.text)
	switch {
	case t == nil:
		l.w.violated("CR-04", "#%d sends %s without a lease", op.id, h.text)
		return
	case h.family.subject != op.key:
		l.w.violated("INV-1", "#%d sends another subject's refresh token", op.id)
	case l.superseded(h, t.couldKnow) && !importing:
		l.w.violated("INV-3", "#%d sends %s although a newer one is stored", op.id, h.text)
	case doubting:
		delete(l.dead, printOf(h.text))
	case l.reportedDead(h, t):
		l.w.violated("CR-28", "#%d sends %s, which got invalid_grant before", op.id, h.text)
	}
	again := l.w.declared && (l.w.policy.harmless() || l.w.policy == briefly) // CR-42
	if t.calls++; t.calls > 1 && (!again || t.calls > 2) {
		l.w.violated("OC-25", "#%d sends a refresh token %d times under one lease", op.id, t.calls)
	}
	if importing {
		return // it is not known whose token it is
	}
	l.checkBackoff(op, t, h, item)
	t.spent, h.open[t.owner] = h, true
}

func (l *grantOracle) familyOf(item tokenstore.Item) *family {
	if h := l.w.idp.prints[item.Grant.Fingerprint]; h != nil {
		return h.family
	}
	return nil
}

// checkBackoff is CR-14: a refresh token that may be used up is not sent while the
// access token is valid. The clocks of the two processes may differ.
func (l *grantOracle) checkBackoff(op *operation, t *acquisition, h *refreshTokenState, item tokenstore.Item) {
	outcomeUnknown := false
	for owner := range h.open {
		outcomeUnknown = outcomeUnknown || owner != t.owner
	}
	serves := item.Token.ExpiresAt.After(l.w.time().Add(4 * maxSkew))
	again := l.w.declared && l.w.policy.harmless()
	if outcomeUnknown && serves && !again && item.Grant.Fingerprint == printOf(h.text) && op.request.RejectedTokenID == "" {
		l.w.violated("CR-14", "#%d sends %s again while the access token is valid", op.id, h.text)
	}
}

// superseded reports whether a successor of h is or was stored, of those that
// count.
func (l *grantOracle) superseded(h *refreshTokenState, counts func(*refreshTokenState) bool) bool {
	for _, other := range l.w.idp.handles {
		if other.parent == h && (!other.storedAt.IsZero() && counts(other) || l.superseded(other, counts)) {
			return true
		}
	}
	return false
}

// couldKnow leaves out those that came so late that their holder had lost the
// lease: when the request arrived, or when the token was stored after the next
// holder had read the item. The next holder cannot know of them.
func (t *acquisition) couldKnow(h *refreshTokenState) bool {
	storedLate := h.storedTurn > t.turn && h.storedAt.Sub(h.leasedAt) > window
	return !h.late && !storedLate
}

func anyTime(*refreshTokenState) bool { return true }

// isLate reports whether a holder may have lost its lease by then.
func (l *grantOracle) isLate(op *operation) bool {
	return l.w.time().Sub(l.holds[op].at) > window
}

// reportedDead reports whether the holder could know that h got invalid_grant, with
// the same version of the secret.
func (l *grantOracle) reportedDead(h *refreshTokenState, t *acquisition) bool {
	invalidGrantReport, said := l.dead[printOf(h.text)]
	return said && invalidGrantReport.turn < t.turn && invalidGrantReport.at.After(l.w.editedAt.Add(cachedFor))
}

// cachedFor is how long a process may use an old version of a secret, with some skew.
const cachedFor = time.Minute + 2*maxSkew

// arrived counts a refresh token that the server receives.
func (l *grantOracle) arrived(op *operation, r oauth.Request) {
	h := l.w.idp.handles[r.RefreshToken.Reveal()]
	if h == nil {
		return
	}
	l.presented++
	if strings.HasPrefix(op.text, imports) && l.w.stored(keyOf(op.key)).Grant.Fingerprint != printOf(h.text) {
		h.family.released = h.family.released || !l.w.idp.works(h) && l.w.policy == detecting // a used one revokes the family
		return
	}
	if l.superseded(h, anyTime) {
		l.reused++ // it was sent before, and delayed
		h.delayedDuplicate = h.delayedDuplicate || l.isLate(op)
	}
}

func (l *grantOracle) lostToken(h *refreshTokenState) {
	if h != nil {
		h.lossCause = "answer lost"
	}
}

// outcomeReported: the holder knows the outcome of its attempt.
func (l *grantOracle) outcomeReported(op *operation, r oauth.Request) {
	if t, h := l.holds[op], l.w.idp.handles[r.RefreshToken.Reveal()]; t != nil && h != nil {
		t.spent = h
	}
}

// markCleared: an attempt's outcome is stored.
func (l *grantOracle) markCleared(owner string, unsettled bool) {
	if t := l.acquisitions[owner]; t != nil && t.spent != nil && !unsettled {
		delete(t.spent.open, owner)
	}
}

func (l *grantOracle) committed(c tokenstore.Commit, before tokenstore.Item, err error) {
	brought := l.w.idp.prints[c.Grant.Fingerprint]
	l.markCleared(c.Owner, false)
	if consumed := l.w.idp.prints[c.Consumed]; consumed != nil && err == nil {
		clear(consumed.open) // whatever the outcome of the others, this one was accepted
		delete(l.dead, c.Consumed)
	}
	if brought == nil || err == nil {
		return
	}
	if before.Grant.Fingerprint == c.Consumed {
		l.w.violated("CR-07", "the successor of the stored refresh token was not stored")
	}
	brought.lossCause = "superseded"
}

func (l *grantOracle) adopted(a tokenstore.StoreGrant, _ tokenstore.Item, err error) {
	h := l.w.idp.prints[a.Grant.Fingerprint]
	switch {
	case h == nil:
	case err != nil:
		h.lossCause = "superseded"
	default:
		clear(h.open)
		delete(l.dead, a.Grant.Fingerprint)
	}
}

func (l *grantOracle) failed(f tokenstore.Fail) {
	l.markCleared(f.Owner, f.OutcomeUnknown)
	item := l.w.stored(f.Key)
	if item.Grant.Fingerprint == "" || item.Lease.Owner != f.Owner || f.Failure.Code != string(problem.AuthorizationRequired) {
		return
	}
	l.dead[item.Grant.Fingerprint] = invalidGrantReport{l.w.turn, l.acquisitions[f.Owner].op.begunAt}
	clear(l.w.idp.prints[item.Grant.Fingerprint].open) // no outcome is unknown any more
	l.checkEnd(f.Key, item)
}

func (l *grantOracle) released(r tokenstore.Release) { l.markCleared(r.Owner, r.OutcomeUnknown) }
func (l *grantOracle) rejected()                     {}
func (l *grantOracle) callFailed(*operation)         {}

func (l *grantOracle) dropped(d tokenstore.Drop, before tokenstore.Item) {
	if !d.KeepFailure {
		delete(l.dead, before.Grant.Fingerprint) // another attempt is allowed
	}
	if f := l.familyOf(before); f != nil && d.Grant {
		f.released, f.disconnected = true, true
	}
	if d.Grant && l.w.stored(d.Key).Grant.Fingerprint != "" {
		l.w.violated("FI-49", "a disconnected grant is still there")
	}
}

// changed follows every change of the item.
func (l *grantOracle) changed(what string, before, after tokenstore.Item) {
	if f, t := l.familyOf(after), l.w.idp.tokens[after.Token.ID].refreshTokenState; f != nil && t != nil && t.family.user != f.user {
		l.w.violated("AZ-30", "%s: the access token is %s's and the grant %s's", what, t.family.user, f.user)
	}
	if before.Grant.Fingerprint == after.Grant.Fingerprint {
		return
	}
	was, is := l.w.idp.prints[before.Grant.Fingerprint], l.w.idp.prints[after.Grant.Fingerprint]
	if is == nil {
		if !was.family.disconnected && !was.family.wronglyRefused && l.w.idp.works(was) {
			l.w.violated("CR-16", "%s: the grant is gone", what)
		}
		return
	}
	switch {
	case is.family.subject != after.Key.Subject:
		l.w.violated("INV-1", "%s: the grant belongs to another subject", what)
	case is.family.disconnected:
		l.w.violated("FI-49", "%s brings a disconnected grant back", what)
	case was != nil && (l.descends(was, is) || strings.HasPrefix(what, "commit") && was.family != is.family):
		l.w.violated("INV-3", "%s replaces a refresh token by an older one", what)
	}
	if was != nil && was.family != is.family {
		was.family.released = true
	}
	if is.storedAt.IsZero() {
		is.storedAt, is.storedTurn = l.w.time(), l.w.turn
	}
	if l.w.idp.works(is) {
		is.family.lost = "" // its holder stored it after all
	}
}

// descends reports whether h is a successor of the other.
func (l *grantOracle) descends(h, other *refreshTokenState) bool {
	for ; h != nil; h = h.parent {
		if h.parent == other {
			return true
		}
	}
	return false
}

// revokes checks a revocation when it is decided: the service does not end a grant
// that is in use, unless its subject is disconnected. A user who consents while
// the request is on its way may lose that grant.
func (l *grantOracle) revokes(op *operation, h *refreshTokenState) {
	if op.text == disconnects+" "+op.key || h.family.disconnected {
		return
	}
	for _, subject := range subjects {
		if stored := l.familyOf(l.w.stored(keyOf(subject))); stored != nil && l.w.idp.endedWith(h.family)[stored] {
			l.w.violated("OC-14", "#%d revokes the grant of %q that is stored", op.id, subject)
		}
	}
}

// killed: what a process had not stored is lost.
func (l *grantOracle) killed(p *processUnderTest) {
	for _, h := range l.w.idp.handles {
		if h.holder == p && h.storedAt.IsZero() && h.lossCause == "" {
			h.lossCause = "holder killed"
		}
	}
}

// checkEnd checks that a grant is given up only where the server says so for a
// reason of its own, or because a refresh token was lost between its response and
// the table.
func (l *grantOracle) checkEnd(key tokenstore.Key, item tokenstore.Item) {
	h := l.w.idp.prints[item.Grant.Fingerprint]
	f := h.family
	switch {
	case f.released || f.wronglyRefused:
		return
	case l.w.idp.works(h):
		l.w.violated("OC-45", "the valid grant of %q is treated as ended", key.Subject)
		return
	}
	f.lost = l.lossReason(f)
	if f.lost == "" || l.w.policy.harmless() {
		l.w.violated("INV-4", "the refresh token of %q is lost (%s), its family %q", key.Subject, f.lost, f.ended)
	}
}

// lossReason is how a refresh token of the family was lost.
func (l *grantOracle) lossReason(f *family) string {
	for _, h := range l.w.idp.handles {
		switch {
		case h.family == f && h.delayedDuplicate:
			return "holder stopped for longer than its lease allows"
		case h.family != f || h.parent == nil:
		case h.late, !h.storedAt.IsZero() && h.storedAt.Sub(h.leasedAt) > window, h.storedAt.IsZero() && h.lossCause == "" && l.w.time().Sub(h.leasedAt) > window:
			return "holder stopped for longer than its lease allows"
		case h.storedAt.IsZero() && h.lossCause != "":
			return h.lossCause
		}
	}
	return ""
}

// window is how old a lease may be before another's clock may see it as expired.
const window = leaseTTL - 2*maxSkew - time.Second

// served checks what a caller got.
func (l *grantOracle) served(op *operation, v vending.Vended, err error) {
	if err != nil {
		l.answered(op, err)
		return
	}
	l.w.note("%s #%d   => %s", op.process.name, op.id, v.AccessToken.Reveal())
	token, known := l.w.idp.tokens[v.ID]
	switch {
	case !known:
		l.w.violated("INV-1", "#%d got a token that the provider never issued", op.id)
		return
	case token.refreshTokenState.family.subject != op.key:
		l.w.violated("INV-1", "#%d got the token of another subject", op.id)
	case op.request.RejectedTokenID == v.ID:
		l.w.violated("CR-23", "#%d got back the token it rejected", op.id)
	case token.refreshTokenState.access == v.ID && token.refreshTokenState.storedAt.IsZero() && !token.refreshTokenState.unsent:
		l.w.violated("INV-4", "#%d got a token whose refresh token is not stored", op.id)
	}
	if l.w.time().After(token.until.Add(2*maxSkew+2*time.Second)) || !v.ExpiresAt.After(l.w.clock(op.process).Add(-2*time.Second)) {
		l.w.violated("INV-1", "#%d got an expired token", op.id)
	}
}

// answered checks any other result.
func (l *grantOracle) answered(op *operation, err error) {
	if err == nil {
		l.w.note("%s #%d   => done", op.process.name, op.id)
		return
	}
	p := problem.Of(err)
	l.w.note("%s #%d   => %s, again in %v", op.process.name, op.id, p.Code, p.RetryAfter)
	if p.Code == problem.InternalError {
		l.w.violated("INV-6", "#%d got an internal error: %v %v", op.id, p.Detail, p.Cause)
	}
}

// consented checks the result of a consent or import: success means that the grant
// is stored.
func (l *grantOracle) consented(op *operation, err error) {
	l.answered(op, err)
	if err != nil {
		return
	}
	for _, h := range l.w.idp.handles {
		if h.op == op && h.storedAt.IsZero() && !h.unsent {
			l.w.violated("INV-4", "#%d succeeds although the grant is not stored", op.id)
		}
	}
}

// servedInTheEnd checks a result when nothing fails any more.
func (l *grantOracle) servedInTheEnd(op *operation, v vending.Vended, err error) {
	l.served(op, v, err)
	item := l.w.stored(keyOf(op.key))
	switch f := l.familyOf(item); {
	case err == nil:
	case !problem.Is(err, problem.AuthorizationRequired):
		l.w.violated("INV-7", "#%d gets no token: %v", op.id, err)
	case f != nil && f.ended == "" && !f.wronglyRefused && f.lost == "":
		l.w.violated("INV-7", "#%d gets authorization_required although the grant is valid: %v", op.id, err)
	}
}

// close checks the whole script: what was received was stored, or it is known why not.
func (l *grantOracle) close() {
	for _, h := range l.w.idp.handles {
		if h.storedAt.IsZero() && h.lossCause == "" && !h.family.disconnected {
			l.w.violated("INV-4", "%s was received and never stored", h.text)
		}
	}
}
