package memory_test

import (
	"testing"

	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Store { return memory.New() })
}

func TestThrottled(t *testing.T) {
	store := memory.New()
	store.Throttle(true)
	storetest.RunThrottled(t, store)
	store.Throttle(false)
	if _, err := store.Session(t.Context(), "crm"); err != nil {
		t.Errorf("CR-31 after the throttling: %v", err)
	}
}

func TestSessions(t *testing.T) {
	storetest.RunSessions(t, func(*testing.T) storetest.Sessions { return memory.New() })
}
