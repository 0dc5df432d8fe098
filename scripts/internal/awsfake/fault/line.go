package fault

import (
	"fmt"
	"net"
	"sync"
)

// Line is a listener on loopback that can be cut. The service behind it is then
// unreachable, until the line is restored.
type Line struct {
	net.Listener

	mu       sync.Mutex
	cut      bool
	accepted map[net.Conn]bool
}

// Listen listens on a free port.
func Listen() (*Line, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return &Line{Listener: l, accepted: map[net.Conn]bool{}}, nil
}

// URL is the line's address for an SDK's endpoint variable.
func (l *Line) URL() string { return "http://" + l.Addr().String() }

// Cut resets every connection; new ones are accepted and reset.
func (l *Line) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for c := range l.accepted {
		abort(c)
	}
	clear(l.accepted)
}

// Restore ends a cut.
func (l *Line) Restore() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
}

// Accept waits for a connection that is not reset at once.
func (l *Line) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.keep(c) {
			return &connection{Conn: c, line: l}, nil
		}
	}
}

// keep remembers a connection, or resets it while the line is cut.
func (l *Line) keep(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		abort(c)
		return false
	}
	l.accepted[c] = true
	return true
}

// abort closes with a reset, so that the client sees it at once.
func abort(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// connection is forgotten when it is closed.
type connection struct {
	net.Conn
	line *Line
}

// Close closes the connection.
func (c *connection) Close() error {
	c.line.mu.Lock()
	delete(c.line.accepted, c.Conn)
	c.line.mu.Unlock()
	return c.Conn.Close()
}
