package load_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/scripts/bench/internal/load"
)

const request = "GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"

func TestRun(t *testing.T) {
	var mu sync.Mutex
	answered, connected := 0, map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		answered++
		connected[r.RemoteAddr] = true
		_, _ = io.WriteString(w, "hello\r\n\r\n")
	}))
	defer server.Close()
	began := time.Now()
	rate, err := load.Run(t.Context(), load.Config{
		Addr: server.Listener.Addr().String(), Request: []byte(request), Connections: 3, Duration: 30 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	// The run itself took less than all that has passed since it began.
	if least := float64(answered) / time.Since(began).Seconds(); rate < least || rate > float64(answered)/0.03 {
		t.Errorf("%v/s, with %d answers", rate, answered)
	}
	if len(connected) != 3 || answered < 4 {
		t.Errorf("%d answers on %d connections, want several on each of 3", answered, len(connected))
	}
}

// answering sends each connection one answer and closes it.
func answering(t *testing.T, answer string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.WriteString(conn, answer)
			}
			_ = conn.Close()
		}
	}()
	return listener.Addr().String()
}

func TestRefused(t *testing.T) {
	for _, tc := range []struct{ name, answer, says string }{
		{"not a 200", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", `"HTTP/1.1 403 Forbidden" is not a 200`},
		{"no HTTP", "hello\n", "is not a 200"},
		{"no length", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "has no Content-Length"},
		{"a malformed length", "HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n", "not a number"},
		{"a header cut short", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n", "EOF"},
		{"a body cut short", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx", "EOF"},
		{"closed before the second answer", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", "2 "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := load.Run(t.Context(), load.Config{
				Addr: answering(t, tc.answer), Request: []byte(request), Connections: 1, Duration: time.Minute,
			})
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v, want %q in it", err, tc.says)
			}
		})
	}
	t.Run("no server", func(t *testing.T) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := listener.Addr().String()
		_ = listener.Close()
		if _, err := load.Run(t.Context(), load.Config{Addr: addr, Connections: 1, Duration: time.Minute}); err == nil {
			t.Error("no error")
		}
	})
}
