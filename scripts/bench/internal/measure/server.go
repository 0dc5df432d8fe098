package measure

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/tokenvend/tokenvend/scripts/bench/internal/load"
	"github.com/tokenvend/tokenvend/scripts/internal/scorecard"
)

// connections is how many are open to a server at once.
const connections = 16

var serverAim = scorecard.AtLeast(0.4)

// server compares requests per second of make run's API, which verifies each
// signature, with those of a server that only answers the same bytes. Both are
// processes of their own, and get the same request.
func (b *bench) server(ctx context.Context) (scorecard.Row, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	api, err := serve(ctx, []string{b.built.local, "dev"}, nil, "TOKENVEND_ADDR=127.0.0.1:0", "TOKENVEND_SANDBOX_ADDR=127.0.0.1:0", "TOKENVEND_CONSOLE_ADDR=127.0.0.1:0")
	if err != nil {
		return scorecard.Row{}, fmt.Errorf("the local API: %w", err)
	}
	defer api.end()
	body, err := fetch(ctx, api.url)
	if err != nil {
		return scorecard.Row{}, err
	}
	bare, err := serve(ctx, []string{b.built.bare}, body)
	if err != nil {
		return scorecard.Row{}, fmt.Errorf("the bare server: %w", err)
	}
	defer bare.end()
	compared, err := scorecard.Compare(ctx, b.rounds, b.asked(api.url, api.url), b.asked(bare.url, api.url))
	return serverAim.Judge("", compared, scorecard.PerSecond), err
}

// asked samples the answers per second of the server at target to a request
// that is signed for the API.
func (b *bench) asked(target, api *url.URL) scorecard.Sample {
	return func(ctx context.Context) (float64, error) {
		request, err := signed(ctx, api)
		if err != nil {
			return 0, err
		}
		var wire bytes.Buffer
		if err := request.Write(&wire); err != nil {
			return 0, err
		}
		return load.Run(ctx, load.Config{Addr: target.Host, Request: wire.Bytes(), Connections: connections, Duration: b.round})
	}
}

// fetch returns the body that both servers send. It also makes the API mint the
// token that it serves.
func fetch(ctx context.Context, api *url.URL) ([]byte, error) {
	request, err := signed(ctx, api)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the local API: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the local API answered %s", response.Status)
	}
	return io.ReadAll(response.Body)
}

// signed is a request for a token that the sandbox issues for a month, signed by
// one of the local run's callers.
func signed(ctx context.Context, api *url.URL) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, api.String()+"/connections/cliquify/token", nil)
	if err != nil {
		return nil, err
	}
	empty := sha256.Sum256(nil)
	credentials := aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}
	return r, v4.NewSigner().SignHTTP(ctx, credentials, r, hex.EncodeToString(empty[:]), "execute-api", "us-east-1", time.Now())
}

// process is a running server.
type process struct {
	cmd *exec.Cmd
	url *url.URL
}

const greeting = "listening on "

// serve starts a server and waits for the line with its address.
func serve(ctx context.Context, command []string, input []byte, environment ...string) (*process, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), environment...)
	cmd.Stdin = bytes.NewReader(input)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd}
	if p.url, err = readGreeting(output); err != nil {
		p.end()
		return nil, err
	}
	return p, nil
}

func readGreeting(output io.Reader) (*url.URL, error) {
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if where, found := strings.CutPrefix(lines.Text(), greeting); found {
			return url.Parse(where)
		}
	}
	return nil, errors.New("it ended before it printed its address")
}

// end stops the server, which cleans up, and waits for it.
func (p *process) end() {
	_ = p.cmd.Process.Signal(os.Interrupt)
	_ = p.cmd.Wait()
}
