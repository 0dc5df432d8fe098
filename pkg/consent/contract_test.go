package consent_test

import (
	"github.com/tokenvend/tokenvend/pkg/consent"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// What the mains hand in has to fit.
var (
	_ consent.Grants   = (*vending.Core)(nil)
	_ consent.Sealer   = (*seal.Sealer)(nil)
	_ consent.Sessions = (*memory.Store)(nil)
	_ consent.Pending  = (*memory.Store)(nil)
)
