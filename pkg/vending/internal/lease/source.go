package lease

import (
	"context"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/issue"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/token"
)

// source is what differs between the ways to obtain a token. The methods are
// called in this order, under the lease.
type source interface {
	// ready decides whether the provider may be asked. An error leaves the lease
	// to be released, unless ready has ended it.
	ready(ctx context.Context, h *Holder) error
	// request is the token request.
	request(r Refresh) issue.Request
	// store stores what was issued and ends the lease.
	store(ctx context.Context, h *Holder, t token.Issued) (record.Record, error)
	// failed stores or maps the failure of the request and ends the lease.
	failed(ctx context.Context, h *Holder, err error) error
}

// sourceOf is the source that refreshes a token of conn.
func sourceOf(conn connection.Connection) source {
	if conn.Delegated() {
		return &refreshToken{}
	}
	return clientCredentials{}
}
