package measure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/scripts/bench/internal/awsstub"
	"github.com/tokenvend/tokenvend/scripts/bench/internal/share"
	"github.com/tokenvend/tokenvend/scripts/internal/lambdahost"
	"github.com/tokenvend/tokenvend/scripts/internal/scorecard"
)

// megabytes is the memory whose share of the CPU functions are held to.
const megabytes = 256

// throttled compares the first invocation at a small memory's share of the CPU.
// Initialisation runs at full speed before it, as Lambda's does, and is shown.
func (b *bench) throttled(ctx context.Context) (scorecard.Row, error) {
	stub, err := b.openStub(ctx)
	if err != nil {
		return scorecard.Row{}, err
	}
	defer stub.Close()
	roots, err := b.rootsAsShipped(ctx, stub)
	if err != nil {
		return scorecard.Row{}, err
	}
	limiter := share.New(share.Config{Share: share.OfMemory(megabytes)})
	vend := &start{
		limiter: limiter,
		host:    func() *lambdahost.Host { return b.vendHost(stub, "AWS_CA_BUNDLE="+roots) },
		check:   func(answer []byte) error { return errors.Join(checkVended(answer), readTable(stub.Take())) },
	}
	hello := &start{limiter: limiter, host: b.helloHost, check: func([]byte) error { return nil }}
	compared, err := scorecard.Compare(ctx, b.effort.throttled, vend.sample, hello.sample)
	if err != nil {
		return scorecard.Row{}, err
	}
	return scorecard.Row{Measured: fmt.Sprintf("%s, INIT %s / %s; by %s", compared.Text(scorecard.Seconds),
		scorecard.Seconds(vend.init()), scorecard.Seconds(hello.init()), limiter.Means())}, nil
}

// rootsAsShipped writes a bundle of the shipped roots and the stub's, so that
// parsing and searching them costs what it costs in AWS.
func (b *bench) rootsAsShipped(ctx context.Context, stub *awsstub.Stub) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/tokenvend/tokenvend").Output()
	if err != nil {
		return "", fmt.Errorf("find this module's sources: %w", err)
	}
	shipped, errShipped := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "pkg/config/awsconfig/amazon.pem"))
	own, errOwn := os.ReadFile(stub.Bundle())
	if err := errors.Join(errShipped, errOwn); err != nil {
		return "", fmt.Errorf("read the roots: %w", err)
	}
	path := filepath.Join(b.built.folder, "amazon-and-stub.pem")
	return path, os.WriteFile(path, bytes.Join([][]byte{shipped, own}, []byte("\n")), 0o600)
}

// start starts environments of one function and invokes each once.
type start struct {
	limiter *share.Limiter
	host    func() *lambdahost.Host
	check   func(answer []byte) error
	// inits are the seconds that each initialisation took.
	inits []float64
}

// init is the median, without the first one, which fills caches.
func (s *start) init() float64 { return scorecard.Median(s.inits[1:]) }

// sample starts an environment at full speed and returns the seconds that its
// first invocation takes at its share.
func (s *start) sample(ctx context.Context) (seconds float64, err error) {
	h := s.host()
	defer h.Close()
	began := time.Now()
	if err := h.Start(ctx); err != nil {
		return 0, err
	}
	s.inits = append(s.inits, time.Since(began).Seconds())
	lift, err := s.limiter.Limit(h)
	if err != nil {
		return 0, err
	}
	began = time.Now()
	answer, err := h.Invoke(ctx, event)
	seconds = time.Since(began).Seconds()
	if err == nil {
		err = s.check(answer)
	}
	h.Close() // a control group cannot be removed while its process lives
	return seconds, errors.Join(err, lift())
}
