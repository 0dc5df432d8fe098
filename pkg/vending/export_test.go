package vending

import (
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// RenewsAhead is what an inspection decides of t, which conn obtained with a
// grant of its own: no provider of the catalogue has every peculiarity.
func RenewsAhead(conn connection.Connection, t Token, now time.Time) bool {
	g := tokenstore.SealedGrant{Fingerprint: "fingerprint", Client: declaration.ClientID(conn), SecretIncarnation: conn.SecretIncarnation, RefreshedAt: t.MintedAt}
	return rules.Renewable(tokenstore.Item{Grant: g}, conn, t, now)
}
