package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"golang.org/x/sync/errgroup"

	"github.com/tokenvend/tokenvend/scripts/internal/localrun"
)

const (
	rounds  = 5
	round   = time.Second
	clients = 16
)

// serverRatio loads the local run and a bare server in turns, and divides their
// median rates. Both get the same signed requests, and answer as many bytes.
func serverRatio(ctx context.Context) (float64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	url, err := startLocal(ctx)
	if err != nil {
		return 0, err
	}
	request, err := signed(ctx, url)
	if err != nil {
		return 0, err
	}
	sample, err := do(request)
	if err != nil {
		return 0, err
	}
	bare, err := startBare(ctx, sample)
	if err != nil {
		return 0, err
	}
	var ours, theirs []float64
	for range rounds {
		ourRate, err := load(ctx, url)
		if err != nil {
			return 0, err
		}
		theirRate, err := load(ctx, bare)
		if err != nil {
			return 0, err
		}
		ours, theirs = append(ours, ourRate), append(theirs, theirRate)
	}
	return median(ours) / median(theirs), nil
}

// startLocal runs the service and returns the address of a token.
func startLocal(ctx context.Context) (string, error) {
	reader, writer := io.Pipe()
	go func() {
		err := localrun.Run(ctx, localrun.Settings{Addr: "127.0.0.1:0", SandboxAddr: "127.0.0.1:0"}, writer, io.Discard)
		_ = writer.CloseWithError(err)
	}()
	lines := bufio.NewScanner(reader)
	for lines.Scan() {
		if url, found := strings.CutPrefix(lines.Text(), "listening on "); found {
			return url + "/connections/creative-force/token", nil
		}
	}
	return "", fmt.Errorf("the local run did not start: %w", lines.Err())
}

// startBare serves one body and nothing else.
func startBare(ctx context.Context, body []byte) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(body)
	})}
	go func() { _ = server.Serve(l) }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return "http://" + l.Addr().String() + "/v1/connections/creative-force/token", nil
}

// load returns how many requests a second a server answers to all clients. A
// client signs once: the rate is to be the server's.
func load(ctx context.Context, url string) (float64, error) {
	var answered atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	began := time.Now()
	for range clients {
		group.Go(func() error {
			request, err := signed(ctx, url)
			for err == nil && time.Since(began) < round {
				_, err = do(request)
				answered.Add(1)
			}
			return err
		})
	}
	err := group.Wait()
	return float64(answered.Load()) / time.Since(began).Seconds(), err
}

// signed is a request of the caller local.
func signed(ctx context.Context, url string) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	empty := sha256.Sum256(nil)
	key := aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}
	return request, v4.NewSigner().SignHTTP(ctx, key, request, hex.EncodeToString(empty[:]), "execute-api", "us-east-1", time.Now())
}

var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}

func do(request *http.Request) ([]byte, error) {
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", request.URL, response.Status)
	}
	return body, err
}
