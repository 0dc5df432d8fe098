// Package load sends one HTTP server the same request repeatedly, on a few
// persistent connections, and counts the responses.
//
// It writes prepared bytes and reads only status and length of a response,
// because it shares the machine with what it measures: time spent here would
// favour the slower of two servers.
package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// grace is how much longer than the whole run one response may take.
const grace = 5 * time.Second

// Config is one run.
type Config struct {
	// Addr is the server's host and port.
	Addr string
	// Request is the whole request as sent. It must keep the connection alive.
	Request []byte
	// Connections is how many are used at once.
	Connections int
	// Duration is how long each connection is used, for one request at least.
	Duration time.Duration
}

// Run returns the responses per second. One that is not 200, or has no
// Content-Length, is an error: failures are faster than successes.
func Run(ctx context.Context, c Config) (float64, error) {
	counts := make([]int, c.Connections)
	began := time.Now()
	until := began.Add(c.Duration)
	g, ctx := errgroup.WithContext(ctx)
	for i := range counts {
		g.Go(func() (err error) {
			counts[i], err = ask(ctx, c, until)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	elapsed := time.Since(began)
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / elapsed.Seconds(), nil
}

// ask keeps one connection busy and returns the number of responses.
func ask(ctx context.Context, c Config, until time.Time) (int, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.Addr)
	if err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(until.Add(grace)); err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	answers := bufio.NewReader(conn)
	for n := 0; ; n++ {
		// One request at least, so that there is something to count.
		if ctx.Err() != nil || n > 0 && !time.Now().Before(until) {
			return n, ctx.Err()
		}
		if _, err := conn.Write(c.Request); err != nil {
			return n, fmt.Errorf("send request %d of a connection: %w", n+1, err)
		}
		if err := skipAnswer(answers); err != nil {
			return n, fmt.Errorf("answer %d on a connection: %w", n+1, err)
		}
	}
}

// skipAnswer reads one response (RFC 9112 §4, §5, §6.2), which must be a 200 with
// a Content-Length.
func skipAnswer(r *bufio.Reader) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("%q is not a 200", bytes.TrimSpace(line))
	}
	length, err := skipHeader(r)
	if err != nil {
		return err
	}
	_, err = r.Discard(length)
	return err
}

var contentLength = []byte("content-length")

// skipHeader reads the header fields and returns the body's length.
func skipHeader(r *bufio.Reader) (int, error) {
	length := -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		switch {
		case len(bytes.TrimSpace(line)) > 0:
			if bytes.EqualFold(name, contentLength) {
				length, err = strconv.Atoi(string(bytes.TrimSpace(value)))
			}
		case length < 0:
			return 0, errors.New("it has no Content-Length")
		default:
			return length, nil
		}
		if err != nil {
			return 0, errors.New("its Content-Length is not a number")
		}
	}
}
