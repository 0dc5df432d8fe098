package scenario

import (
	"bytes"
	"sync"
)

// tail keeps the end of its input.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 256 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if len(t.text) > 2*tailSize {
		t.text = bytes.Clone(t.text[len(t.text)-tailSize:])
	}
	return len(p), nil
}

func (t *tail) tail() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
