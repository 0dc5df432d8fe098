package vending

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"time"
)

// newOwner is 128 random bits, new for each acquisition: neither a restored
// snapshot nor a recycled environment can repeat it.
func (c *Core) newOwner() (string, error) {
	var id [16]byte
	if _, err := io.ReadFull(c.rand, id[:]); err != nil {
		return "", fmt.Errorf("make a lease owner: %w", err)
	}
	return hex.EncodeToString(id[:]), nil
}

// fraction is a random number in [0, 1); without randomness it is the middle.
func (c *Core) fraction() float64 {
	var b [8]byte
	if _, err := io.ReadFull(c.rand, b[:]); err != nil {
		return 0.5
	}
	return float64(binary.BigEndian.Uint64(b[:])>>11) / (1 << 53)
}

// jittered spreads d by ± 25 %.
func (c *Core) jittered(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.75 + c.fraction()/2))
}
