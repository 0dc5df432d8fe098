package rules

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"time"
)

// Random generates lease owners and jitter. The zero value uses crypto/rand.
type Random struct{ Source io.Reader }

func (r Random) read(b []byte) error {
	source := r.Source
	if source == nil {
		source = rand.Reader
	}
	_, err := io.ReadFull(source, b)
	return err
}

// Owner is 128 random bits, new for each acquisition: neither a restored
// snapshot nor a reused execution environment can repeat it.
func (r Random) Owner() (string, error) {
	var id [16]byte
	if err := r.read(id[:]); err != nil {
		return "", fmt.Errorf("make a lease owner: %w", err)
	}
	return hex.EncodeToString(id[:]), nil
}

// MintID is 64 random bits for a declaration record.
func (r Random) MintID() (string, error) {
	var id [8]byte
	if err := r.read(id[:]); err != nil {
		return "", fmt.Errorf("make a mint id: %w", err)
	}
	return hex.EncodeToString(id[:]), nil
}

// Fraction is a random number in [0, 1), or the middle when the source fails.
func (r Random) Fraction() float64 {
	var b [8]byte
	if r.read(b[:]) != nil {
		return 0.5
	}
	return float64(binary.BigEndian.Uint64(b[:])>>11) / (1 << 53)
}

// Jitter spreads d by ± 25 %.
func (r Random) Jitter(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.75 + r.Fraction()/2))
}
