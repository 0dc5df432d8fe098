package sandbox

import (
	"net/http"
	"time"
)

// endless is the lifetime of a token that does not end, and of which no response
// states one.
const endless = 100 * 365 * 24 * time.Hour

// habit is what the catalogue does not say about a server, because the service copes
// with it without a declaration.
type habit struct {
	// tokenType is its token_type; empty is Bearer, and "-" is none.
	tokenType string
	// ended is the HTTP status of a grant that has ended; refused that of every other
	// refusal. Zero is RFC 6749's.
	ended, refused int
	// codeLength is the length of its codes; zero is short.
	codeLength int
	// silent: responses state no lifetime, although tokens end.
	silent bool
	// zero: responses state a lifetime of 0 for a token without end.
	zero bool
	// list: the scope in a response is a list.
	list bool
	// dated: an expires_at is RFC 3339; otherwise it is in epoch seconds.
	dated bool
}

// habits are by the entry's name.
var habits = map[string]habit{
	"atlassian":        {ended: http.StatusForbidden},
	"business-central": {codeLength: 2400},
	"dynamics-365":     {codeLength: 2400},
	"ebay":             {tokenType: "User Access Token"},
	"github":           {refused: http.StatusOK, ended: http.StatusOK, tokenType: "bearer"},
	"github-app":       {refused: http.StatusOK, ended: http.StatusOK, tokenType: "bearer"},
	"mailchimp":        {zero: true},
	"microsoft-entra":  {codeLength: 2400},
	"microsoft-graph":  {codeLength: 2400},
	"notion":           {tokenType: "bearer"},
	"salesforce":       {silent: true},
	"sharepoint":       {codeLength: 2400},
	"shopify":          {tokenType: "-"},
	"slack":            {tokenType: "bot"},
	"square":           {dated: true},
	"twitch":           {list: true},
	"zoho":             {refused: http.StatusOK, ended: http.StatusOK},
}
