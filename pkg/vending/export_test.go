package vending

import (
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// RenewsAhead is what a visit decides of t, which conn got with a grant of its
// own: no provider of the catalogue has every peculiarity.
func RenewsAhead(conn connection.Connection, t Token, now time.Time) bool {
	g := tokenstore.SealedGrant{Fingerprint: "fingerprint", Client: declaration.ClientID(conn), SecretIncarnation: conn.SecretIncarnation}
	c := New(Config{Now: func() time.Time { return now }})
	return c.renewable(conn, record{item: tokenstore.Item{Grant: g}, token: t})
}
