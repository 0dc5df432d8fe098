package fault

import (
	"errors"
	"fmt"
	"net"
	"sync"
)

// Line is a listener on loopback that can be cut. The service behind it is then
// unreachable, and comes back at the same address.
type Line struct {
	address net.Addr

	mu       sync.Mutex
	changed  *sync.Cond // when inner or closed does
	inner    net.Listener
	closed   bool
	deaf     bool
	accepted map[net.Conn]bool
}

// Listen listens on an address, which must be of the loopback interface; port 0
// picks one.
func Listen(address string) (*Line, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("address %q: want HOST:PORT", address)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("address %q: the host is not a loopback address such as 127.0.0.1", address)
	}
	inner, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	l := &Line{address: inner.Addr(), inner: inner, accepted: map[net.Conn]bool{}}
	l.changed = sync.NewCond(&l.mu)
	return l, nil
}

// Addr is where the line listens, also while it is cut.
func (l *Line) Addr() net.Addr { return l.address }

// URL is the line's address for an SDK's endpoint variable.
func (l *Line) URL() string { return "http://" + l.address.String() }

// Down cuts the line: every connection is reset, and new ones are refused.
func (l *Line) Down() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inner != nil {
		_ = l.inner.Close()
		l.inner = nil
	}
	l.reset()
}

// Reset cuts the line in another way: every connection is reset, and new ones
// are accepted and reset.
func (l *Line) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deaf = true
	l.reset()
}

// Up restores the line. It fails if another program has taken the port.
func (l *Line) Up() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deaf = false
	if l.inner != nil || l.closed {
		return nil
	}
	inner, err := net.Listen("tcp", l.address.String())
	if err != nil {
		return fmt.Errorf("listen again: %w", err)
	}
	l.inner = inner
	l.changed.Broadcast()
	return nil
}

// Accept waits for a connection. While the line is cut it waits on, so that a
// server over it does not end.
func (l *Line) Accept() (net.Conn, error) {
	for {
		inner, err := l.listening()
		if err != nil {
			return nil, err
		}
		c, err := inner.Accept()
		switch {
		case err == nil:
			if kept := l.keep(c); kept != nil {
				return kept, nil
			}
		case !errors.Is(err, net.ErrClosed):
			return nil, err
		}
	}
}

// listening waits until the line is up.
func (l *Line) listening() (net.Listener, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.inner == nil && !l.closed {
		l.changed.Wait()
	}
	if l.closed {
		return nil, net.ErrClosed
	}
	return l.inner, nil
}

// keep remembers a connection. It returns nil after a reset: the line was cut
// after the connection had come in.
func (l *Line) keep(c net.Conn) net.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.deaf || l.inner == nil {
		abort(c)
		return nil
	}
	l.accepted[c] = true
	return &connection{Conn: c, line: l}
}

// reset aborts every connection. The lock is held.
func (l *Line) reset() {
	for c := range l.accepted {
		abort(c)
	}
	clear(l.accepted)
}

// abort closes with a reset, so that the client sees it at once.
func abort(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// Close ends the line for good.
func (l *Line) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.changed.Broadcast()
	if l.inner == nil {
		return nil
	}
	err := l.inner.Close()
	l.inner = nil
	return err
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
