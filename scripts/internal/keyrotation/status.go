package keyrotation

import (
	"context"
	"time"
)

// Status describes a keyset.
type Status struct {
	ChangedAt time.Time     `json:"changed_at"`
	Age       time.Duration `json:"-"`
	Keys      []KeyStatus   `json:"keys"`
}

// KeyStatus describes one key of a keyset.
type KeyStatus struct {
	ID string `json:"id"`
	// Role says what the key is used for: [Primary], [Next] or [OpenOnly].
	Role string `json:"role"`
	// SealedItems is nil for a keyset that seals nothing in the table.
	SealedItems *int `json:"sealed_items,omitempty"`
}

// The roles of a key.
const (
	Primary  = "primary"
	Next     = "next primary"
	OpenOnly = "open only"
)

// Status reads the keyset, and the table to count what each key seals.
func (r Rotation) Status(ctx context.Context) (Status, error) {
	s, err := r.read(ctx)
	if err != nil {
		return Status{}, err
	}
	uses, err := r.uses(ctx)
	if err != nil {
		return Status{}, err
	}
	status := Status{ChangedAt: s.version.MadeAt, Age: s.age}
	for _, id := range s.ids() {
		key := KeyStatus{ID: id, Role: s.role(id)}
		if uses != nil {
			items := uses[id].Items
			key.SealedItems = &items
		}
		status.Keys = append(status.Keys, key)
	}
	return status, nil
}

func (s state) role(id string) string {
	switch id {
	case s.primary():
		return Primary
	case s.waiting():
		return Next
	}
	return OpenOnly
}
