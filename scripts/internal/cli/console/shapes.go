package console

import "encoding/json"

// The members of answers that the page gets. An access token is not among them.
type (
	token struct {
		TokenID          string         `json:"token_id"`
		ExpiresIn        *int64         `json:"expires_in,omitempty"`
		RefreshIn        int64          `json:"refresh_in"`
		Scope            string         `json:"scope,omitempty"`
		ExpiresInAssumed bool           `json:"expires_in_assumed,omitempty"`
		Stale            bool           `json:"stale,omitempty"`
		Extra            map[string]any `json:"extra,omitempty"`
		Present          *struct {
			Header string `json:"header"`
			Prefix string `json:"prefix"`
		} `json:"present,omitempty"`
	}
	started struct {
		ConsentURL string `json:"consent_url"`
		SessionID  string `json:"session_id"`
		ExpiresIn  int64  `json:"expires_in"`
	}
	state struct {
		State         string   `json:"state"`
		Problem       string   `json:"problem,omitempty"`
		Warnings      []string `json:"warnings,omitempty"`
		LastError     string   `json:"last_error,omitempty"`
		NextAttemptAt string   `json:"next_attempt_at,omitempty"`
	}
	subject struct {
		Subject string `json:"subject"`
		state
		ConsentedBy string `json:"consented_by,omitempty"`
		ConsentedAt string `json:"consented_at,omitempty"`
		RenewBy     string `json:"renew_by,omitempty"`
	}
	connection struct {
		Connection string `json:"connection"`
		state
		Provider  string     `json:"provider,omitempty"`
		GrantType string     `json:"grant_type,omitempty"`
		Subjects  *[]subject `json:"subjects,omitempty"`
		Next      string     `json:"next,omitempty"`
	}
	listing struct {
		Connections []connection `json:"connections"`
		Next        string       `json:"next,omitempty"`
	}
	failure struct {
		Error    string          `json:"error"`
		Detail   string          `json:"detail"`
		Instance string          `json:"instance,omitempty"`
		Provider json.RawMessage `json:"provider,omitempty"`
	}
)
