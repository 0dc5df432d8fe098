// Package load asks one HTTP server the same thing over and over, on a few
// connections that are kept alive, and counts the answers.
//
// It writes ready-made bytes and reads no more of an answer than its status and
// length, because it shares the machine with what it measures: every
// microsecond spent here would flatter the slower of two servers.
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

// patience is how much longer than the whole run one answer may take.
const patience = 5 * time.Second

// Config is one run.
type Config struct {
	// Addr is the server's host and port.
	Addr string
	// Request is the whole request as it goes over the wire. It must not ask
	// for the connection to be closed.
	Request []byte
	// Connections is how many ask at once.
	Connections int
	// Duration is how long no connection stops asking; each asks at least once.
	Duration time.Duration
}

// Run returns the answers per second. An answer that is not 200, or that does
// not tell its length, is an error: counting failures would flatter too.
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

// ask keeps one connection busy and returns how many answers came.
func ask(ctx context.Context, c Config, until time.Time) (int, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", c.Addr)
	if err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(until.Add(patience)); err != nil {
		return 0, fmt.Errorf("connect: %w", err)
	}
	answers := bufio.NewReader(conn)
	for n := 0; ; n++ {
		// Each asks once however short the time, so that there is something to count.
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

// skipAnswer reads past one answer (RFC 9112 §4, §5, §6.2) that must be a 200
// with a Content-Length.
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

// skipHeader reads past the header fields and returns the body's length.
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
			return 0, errors.New("it does not tell its length")
		default:
			return length, nil
		}
		if err != nil {
			return 0, errors.New("its length is not a number")
		}
	}
}
