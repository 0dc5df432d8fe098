package memory_test

import (
	"testing"

	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Store { return memory.New() })
}

func TestSessions(t *testing.T) {
	storetest.RunSessions(t, func(*testing.T) storetest.Sessions { return memory.New() })
}
