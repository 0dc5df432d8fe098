package vending_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvend/tokenvend/pkg/problem"
)

// interleaving is a script written by hand, one for each fault of the
// requirements, in the environment of the property test.
type interleaving struct {
	*env
	t *testing.T
}

// request starts an operation and stops it before its first call.
func (s *interleaving) request(p int, act action, arg int) *operation {
	s.t.Helper()
	before := len(s.ops)
	s.env.request(s.fleet[p], step{act: act, arg: arg})
	if len(s.ops) == before {
		s.t.Fatal("the world refuses that request")
	}
	return s.ops[before]
}

// does runs a whole request.
func (s *interleaving) does(p int, act action, arg int) *operation {
	s.t.Helper()
	op := s.request(p, act, arg)
	s.finish(op)
	return op
}

// until runs an operation until it is before a call.
func (s *interleaving) until(op *operation, call string) {
	s.t.Helper()
	for range gatesPerOperation {
		at := slices.IndexFunc(s.waiting, func(g *gate) bool { return g.op == op })
		if at < 0 {
			break
		}
		if strings.HasPrefix(s.waiting[at].what, call) {
			return
		}
		s.open(s.waiting[at], completed)
	}
	s.t.Fatalf("#%d never comes to %s", op.id, call)
}

// next opens the gate that an operation waits at.
func (s *interleaving) next(op *operation, v outcome) {
	s.t.Helper()
	at := slices.IndexFunc(s.waiting, func(g *gate) bool { return g.op == op })
	if at < 0 {
		s.t.Fatalf("#%d waits at no gate", op.id)
	}
	s.open(s.waiting[at], v)
}

// lag leaves a replica of the connection's item where its nth token was current.
func (s *interleaving) lag(n int) {
	key := s.current(crm()).Key
	past := slices.DeleteFunc(s.past.past[key], func(was snapshot) bool { return was.item.Token.ID == "" })
	past[n].until = s.time()
	s.past.past[key] = past[n:]
}

// got fails unless an operation ended with the token, or the error code, of that
// name.
func (s *interleaving) got(op *operation, want string) {
	s.t.Helper()
	if got := s.answers[op]; got != want {
		s.t.Errorf("#%d got %q, want %q", op.id, got, want)
	}
}

// recoveryLimit is how long after the death of a holder a caller that asks again
// and again has a token.
const recoveryLimit = 19_500 * time.Millisecond

func TestPropertyInterleavings(t *testing.T) {
	const one, other = 0, 1 // processes
	const plain, patient = 0, 6
	tests := []struct {
		name  string
		calls int // to the provider, until every fault has ended
		tell  func(*interleaving)
	}{
		{"FI-03 a holder dies before the provider is called", 1, func(s *interleaving) {
			s.until(s.request(one, vend, plain), "ask")
			s.crash(s.fleet[one])
			killedAt := s.time()
			s.got(s.does(other, vend, plain), string(problem.RefreshInProgress))
			s.got(s.does(other, vend, plain), string(problem.RefreshInProgress))
			s.got(s.does(other, vend, plain), "token_1")
			if took := s.time().Sub(killedAt); took > recoveryLimit {
				s.t.Errorf("CR-06 a token came %v after the holder died, want at most %v", took, recoveryLimit)
			}
		}},
		{"FI-04 a holder dies between the response and the commit", 2, func(s *interleaving) {
			s.until(s.request(one, vend, plain), "commit")
			s.crash(s.fleet[one])
			s.advance(leaseTTL + time.Second)
			s.got(s.does(other, vend, plain), "token_2")
			s.got(s.does(one, vend, plain), "token_2")
		}},
		{"FI-04 a holder dies after the commit", 1, func(s *interleaving) {
			op := s.request(one, vend, plain)
			s.until(op, "commit")
			s.next(op, halfway)
			s.crash(s.fleet[one])
			s.got(s.does(other, vend, plain), "token_1")
		}},
		{"FI-07 a holder is frozen for two leases", 2, func(s *interleaving) {
			op := s.request(one, vend, plain)
			s.until(op, "commit")
			s.advance(2 * leaseTTL)
			s.got(s.does(other, vend, plain), "token_2")
			s.finish(op)
			s.got(op, "token_2")
		}},
		{"CR-08 a token refreshed while a process waited for the lease is not refreshed again", 1, func(s *interleaving) {
			op := s.request(one, vend, plain)
			s.until(op, "acquire")
			s.does(other, vend, plain)
			s.finish(op)
			s.got(op, "token_1")
		}},
		{"FI-29 CR-36 the response to an acquisition is lost, and it is repeated", 1, func(s *interleaving) {
			op := s.request(one, vend, plain)
			s.until(op, "acquire")
			s.next(op, repeated)
			s.finish(op)
			s.got(op, "token_1")
		}},
		{"FI-30 CR-36 the response to a commit is lost, and it is repeated", 1, func(s *interleaving) {
			op := s.request(one, vend, plain)
			s.until(op, "commit")
			s.next(op, lost)
			s.finish(op)
			s.got(op, "token_1")
			s.got(s.does(other, vend, plain), "token_1")
			if version := s.current(crm()).Version; version != 1 {
				s.t.Errorf("version %d, want 1", version)
			}
		}},
		{"FI-32 CR-29 a lagging replica answers after a rejection", 2, func(s *interleaving) {
			s.does(one, vend, plain)
			s.advance(31 * time.Second)
			s.got(s.does(one, reject, plain), "token_2")
			s.advance(11 * time.Second) // the cached record is no longer fresh
			s.lag(0)
			op := s.request(one, vend, plain)
			s.next(op, outdated)
			s.finish(op)
			s.got(op, "token_2")
		}},
		{"CR-23 an older refresh does not return the rejected token", 2, func(s *interleaving) {
			older := s.request(one, vend, plain)
			s.until(older, "acquire")
			s.does(other, vend, plain)
			s.until(older, "release")
			rejecter := s.request(one, reject, plain)
			s.does(other, forget, plain)
			s.next(rejecter, completed) // it finds no token, and shares the older refresh
			s.finish(older)
			s.finish(rejecter)
			s.got(rejecter, "token_2")
		}},
		{"FI-37 an environment's clock is ten minutes ahead: no other believes its tokens", 3, func(s *interleaving) {
			s.does(one, vend, plain)
			s.set(s.fleet[other], 10*time.Minute)
			s.advance(51 * time.Minute) // an hour's lifetime, by its clock
			s.got(s.does(other, vend, plain), "token_2")
			s.got(s.does(one, vend, plain), "token_3")
			s.advance(11 * time.Second)
			s.got(s.does(other, vend, plain), "token_3")
		}},
		{"FI-37 an environment's clock is ten minutes behind, a step while it holds the lease", 2, func(s *interleaving) {
			s.set(s.fleet[one], -10*time.Minute)
			op := s.request(one, vend, plain)
			s.until(op, "ask")
			s.set(s.fleet[one], 0)
			s.got(s.does(other, vend, plain), "token_1")
			s.finish(op)
			s.got(op, "token_1")
		}},
		{"FI-38 an environment is frozen for two hours with a token in memory", 2, func(s *interleaving) {
			s.does(one, vend, plain)
			s.advance(2 * time.Hour)
			s.got(s.does(one, vend, plain), "token_2")
		}},
		{"CR-10 two environments are ten seconds apart", 1, func(s *interleaving) {
			s.set(s.fleet[one], -maxSkew)
			s.set(s.fleet[other], maxSkew)
			op := s.request(one, vend, plain)
			s.until(op, "ask")
			s.advance(9 * time.Second)
			waiter := s.request(other, vend, patient)
			s.until(waiter, "wait")
			s.finish(op)
			s.finish(waiter)
			s.got(op, "token_1")
			s.got(waiter, "token_1")
		}},
		{"FI-49 a connection is deleted while its token is minted", 1, func(s *interleaving) {
			op := s.request(one, vend, plain)
			s.until(op, "commit")
			s.secretHistory.remove("crm")
			s.does(other, reconcile, plain)
			s.finish(op)
			s.got(op, string(problem.ConnectionNotFound))
			for _, process := range []int{one, other} {
				again := s.request(process, vend, plain)
				s.finish(again)
				s.got(again, string(problem.ConnectionNotFound))
			}
			if item := s.current(crm()); item.Lease.Owner != "" {
				s.t.Errorf("lease of %q is left", item.Lease.Owner)
			}
		}},
		{"FI-17 the provider hangs: its failure is returned and the lease released", 1, func(s *interleaving) {
			op := s.request(one, vend, plain)
			s.until(op, "ask")
			s.next(op, lost)
			s.finish(op)
			s.got(op, string(problem.ProviderTimeout))
			if item := s.current(crm()); item.Lease.Owner != "" || item.Failure.Count != 1 {
				s.t.Errorf("lease of %q, %d failures; want no lease and one failure", item.Lease.Owner, item.Failure.Count)
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newEnv(setting{lifetime: time.Hour, early: true, offsets: make([]time.Duration, 2)}, nil)
				defer w.end()
				tt.tell(&interleaving{w, t})
				if w.found != "" || w.idp.calls != tt.calls {
					t.Errorf("%d calls, want %d; %s", w.idp.calls, tt.calls, w.found)
				}
				if t.Failed() {
					t.Log("\n" + strings.Join(w.trace, "\n"))
				}
			})
		})
	}
}
