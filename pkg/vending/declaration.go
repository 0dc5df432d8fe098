package vending

import (
	"context"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// reconsider decides whether a remembered failure still holds: it is forgotten
// when the secret has changed, so its cached copy is not taken at its word. The
// error is the failure's.
func (c *Core) reconsider(ctx context.Context, conn connection.Connection, item tokenstore.Item) (connection.Connection, error) {
	if c.looks.Try(tokenstore.Key{Connection: string(conn.Name)}, c.clock.Now()) == 0 {
		if current, err := c.declarations.Load(ctx, conn.Name, true); err == nil {
			conn = current
		}
	}
	if now := c.clock.Now(); declaration.InBackoff(item, conn, now) {
		return conn, rules.Remembered(item.Failure, now)
	}
	return conn, nil
}
