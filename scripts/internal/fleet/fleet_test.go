package fleet_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/internal/engine/enginetest"
	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
)

// bootstraps is where the functions were built, once for all tests.
var bootstraps string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "fleet-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	bootstraps = folder
	if err := fleet.Build(context.Background(), folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

func start(t *testing.T) *fleet.Fleet {
	t.Helper()
	f, err := fleet.Start(t.Context(), fleet.Config{Bootstraps: bootstraps, DynamoDB: enginetest.Endpoint(t), Output: t.Output()})
	t.Cleanup(f.Close)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

const crm = "creative-force"

func violations(t *testing.T, f *fleet.Fleet) []string {
	t.Helper()
	found, err := f.Violations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestStepsOfARefresh(t *testing.T) {
	f := start(t)
	if a := f.Process(fleet.Vend, 0).Ask(t.Context(), fleet.TokenOf(crm)); a.Status != http.StatusOK {
		t.Fatalf("got %s: %v", a.Outcome(), a.Err)
	}
	// The first read and the first secret are the warm-up's, and the last read is of
	// an outage of the provider.
	for step, want := range map[fleet.Step]int{
		fleet.Get: 3, fleet.Secret: 2, fleet.Acquire: 1, fleet.Token: 1, fleet.Commit: 1,
		fleet.Release: 0, fleet.Fail: 0, fleet.Other: 0,
	} {
		if got := f.Gate.Calls(step); got != want {
			t.Errorf("%d calls for %s, want %d", got, step, want)
		}
	}
	if holder := f.Holder(); holder != "vend-00" {
		t.Errorf("the holder is %q", holder)
	}
	if found := violations(t, f); len(found) > 0 {
		t.Errorf("violations of a fleet in order: %q", found)
	}
}

func TestAHoldMeetsItsProcess(t *testing.T) {
	f := start(t)
	met, release := f.Gate.Hold(fleet.Commit, fleet.Arrived)
	p := f.Process(fleet.Vend, 3)
	answer := make(chan fleet.Answer, 1)
	go func() { answer <- p.Ask(t.Context(), fleet.TokenOf(crm)) }()
	call := <-met
	if call.From != p.Name || call.Subject != crm {
		t.Errorf("met %+v", call)
	}
	if err := p.Freeze(); err != nil {
		t.Fatal(err)
	}
	release()
	if err := f.Gate.Await(t.Context(), fleet.Commit, fleet.Done, 1); err != nil {
		t.Fatal(err)
	}
	select {
	case a := <-answer:
		t.Errorf("a frozen process answered %s", a.Outcome())
	default:
	}
	if err := p.Thaw(); err != nil {
		t.Fatal(err)
	}
	if a := <-answer; a.Status != http.StatusOK {
		t.Errorf("the thawed process answered %s", a.Outcome())
	}
}

func TestADeathIsNoAnswer(t *testing.T) {
	f := start(t)
	p := f.Process(fleet.Vend, 0)
	f.Gate.Once(fleet.Acquire, fleet.Arrived, func(fleet.Call) fleet.Decision {
		p.Kill()
		return fleet.Cut
	})
	if a := p.Ask(t.Context(), fleet.TokenOf(crm)); a.Status != 0 || a.Err == nil {
		t.Errorf("a killed process answered %s", a.Outcome())
	}
	if a := p.Ask(t.Context(), fleet.TokenOf(crm)); a.Status != http.StatusOK {
		t.Errorf("its successor answered %s", a.Outcome())
	}
}

// TestViolationsAreSeen plants what the fleet must find, so that its silence
// means something.
func TestViolationsAreSeen(t *testing.T) {
	t.Run("INV-5 a secret in a stored item", func(t *testing.T) {
		f := start(t)
		secret := strings.Split(string(f.Provider.Connections()[crm]), `"client_secret": "`)[1][:64]
		if err := f.Change(t.Context(), crm, map[string]fleet.Value{"planted": fleet.Text("x " + secret)}); err != nil {
			t.Fatal(err)
		}
		if found := violations(t, f); len(found) != 1 || !strings.HasPrefix(found[0], "INV-5") {
			t.Errorf("found %q", found)
		}
	})
	t.Run("INV-1 a token that lives longer than the provider said", func(t *testing.T) {
		f := start(t)
		if _, err := f.Mint(t.Context(), crm, -fleet.Skew*4); err != nil {
			t.Fatal(err)
		}
		f.Process(fleet.Vend, 0).Ask(t.Context(), fleet.TokenOf(crm))
		if found := violations(t, f); len(found) != 1 || !strings.HasPrefix(found[0], "INV-1") {
			t.Errorf("found %q", found)
		}
	})
}
