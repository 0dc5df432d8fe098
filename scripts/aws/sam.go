package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/tokenvend/tokenvend/scripts/aws/internal/cloud"
	"github.com/tokenvend/tokenvend/scripts/aws/internal/container"
	"github.com/tokenvend/tokenvend/scripts/aws/internal/flow"
	"github.com/tokenvend/tokenvend/scripts/aws/internal/samcli"
	"github.com/tokenvend/tokenvend/scripts/aws/internal/story"
	"github.com/tokenvend/tokenvend/scripts/internal/engine"
	"github.com/tokenvend/tokenvend/scripts/internal/localgateway"
)

// under is SAM with all that it runs on.
type under struct {
	*bench
	engines engines
	docker  *container.Engine
	sam     *samcli.SAM
}

// sam has SAM judge, build and run the stack.
func (b *bench) sam(ctx context.Context, e engines) {
	u := &under{bench: b, engines: e}
	if !b.report.check(ctx, "SAM and a Docker Engine are here", u.open) {
		return
	}
	b.report.check(ctx, "sam validate --lint", u.sam.Validate)
	if !b.report.check(ctx, "sam build", u.sam.Build) {
		return
	}
	u.invokeAll(ctx)
	u.lambda(ctx)
	b.report.check(ctx, "sam local start-api answers 403 without an identity", u.api)
}

// open finds or starts everything, and says what it is.
func (u *under) open(ctx context.Context) error {
	if err := u.engines.missing(); err != nil {
		return err
	}
	programs, err := u.tools.Python(ctx)
	if err != nil {
		return err
	}
	if u.docker, err = container.Open(ctx, container.Config{Own: u.options.own, Progress: u.progress}); err != nil {
		return err
	}
	u.atEnd(u.docker.Close)
	image, err := u.docker.Prepare(ctx, architecture())
	if err != nil {
		return err
	}
	u.sam, err = samcli.New(samcli.Config{
		Programs: programs, Root: u.root, Work: u.work, Architecture: architecture(), Output: u.log,
		Environment: append(u.docker.Environment(), u.credentials()...),
	})
	if err != nil {
		return err
	}
	version, err := u.sam.Version(ctx)
	u.report.note("%s, Docker Engine %s, %s", version, u.docker.Version, image)
	return err
}

// credentials are those of the functions. SAM asks STS whose they are before
// every command; moto knows at once, where AWS could not be reached or would
// refuse.
func (u *under) credentials() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + cloud.Credentials, "AWS_SECRET_ACCESS_KEY=" + cloud.Credentials, "AWS_SESSION_TOKEN=",
		"AWS_REGION=" + cloud.Region, "AWS_DEFAULT_REGION=" + cloud.Region, "AWS_ENDPOINT_URL_STS=" + u.engines.secretsManager}
}

// architecture is this machine's, as SAM writes it.
func architecture() string {
	if runtime.GOARCH == "arm64" {
		return "arm64"
	}
	return "x86_64"
}

// private are the networks that an engine's bridge, or Docker Desktop's virtual
// machine, may have its addresses in.
const private = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"

// cloud is a stack that containers reach.
func (u *under) cloud(ctx context.Context, secretsManager string, bare bool) (*cloud.Cloud, error) {
	c, err := cloud.Open(ctx, cloud.Config{
		DynamoDB: u.engines.dynamoDB, SecretsManager: secretsManager, Bare: bare, Networks: private,
		Listen: func(ctx context.Context) (net.Listener, string, error) { return u.docker.Listen(ctx, "0") },
	})
	u.atEnd(c.Close)
	return c, err
}

func (u *under) environment(c *cloud.Cloud) map[string]map[string]string {
	all := map[string]map[string]string{}
	for _, function := range u.sam.Functions() {
		all[function] = c.Environment(function)
	}
	return all
}

// atOnce is how many events are invoked side by side: SAM takes a second of one
// processor for each.
const atOnce = 2

// invokeAll runs every saved event, each in a container of its own after the
// story was told anew.
func (u *under) invokeAll(ctx context.Context) {
	files, err := filepath.Glob("events/*.json")
	if err != nil || len(files) == 0 {
		u.report.check(ctx, "events", func(context.Context) error { return errors.New("there are no events") })
		return
	}
	events := make(chan string)
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() { u.invokeSome(ctx, events) })
	}
	for _, file := range files {
		events <- file
	}
	close(events)
	wg.Wait()
}

// invokeSome takes events as they come, in a world of its own.
func (u *under) invokeSome(ctx context.Context, events <-chan string) {
	teller, c, err := u.world(ctx)
	for file := range events {
		u.report.check(ctx, "sam local invoke "+file, func(ctx context.Context) error {
			if err != nil {
				return err
			}
			return u.invoke(ctx, file, teller, u.environment(c))
		})
	}
}

func (u *under) world(ctx context.Context) (*story.Teller, *cloud.Cloud, error) {
	secrets, err := u.moto(ctx) // of its own: the golden list has no other connections
	if err != nil {
		return nil, nil, err
	}
	c, err := u.cloud(ctx, secrets.URL, true)
	if err != nil {
		return nil, nil, err
	}
	teller, err := story.New(ctx, c)
	return teller, c, err
}

// invoke runs one event after the story was told, and compares its answer. What
// precedes the first hyphen of its name is the function it is for.
func (u *under) invoke(ctx context.Context, file string, teller *story.Teller, environment map[string]map[string]string) error {
	event, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("event: %w", err)
	}
	golden, err := os.ReadFile(filepath.Join("events", "golden", filepath.Base(file)))
	if err != nil {
		return fmt.Errorf("golden answer: %w", err)
	}
	if err := teller.Tell(ctx); err != nil {
		return err
	}
	if event, err = teller.Renewed(ctx, event, golden); err != nil {
		return err
	}
	told := filepath.Join(u.work, filepath.Base(file))
	if err := os.WriteFile(told, event, 0o600); err != nil {
		return fmt.Errorf("event: %w", err)
	}
	function, _, _ := strings.Cut(filepath.Base(file), "-")
	answer, err := u.sam.Invoke(ctx, function, told, environment)
	if err != nil {
		return err
	}
	return story.Compare(golden, answer)
}

// lambda runs the stack on sam local start-lambda behind our gateway.
func (u *under) lambda(ctx context.Context) {
	var stack flow.Stack
	started := u.report.check(ctx, "sam local start-lambda, behind the gateway", func(ctx context.Context) (err error) {
		stack, err = u.openLambda(ctx, nil)
		return err
	})
	if !started {
		return
	}
	for _, check := range stack.Checks() {
		u.report.check(ctx, "on SAM: "+check.Name, check.Run)
	}
}

// openLambda starts it. A nil listener takes any port.
func (u *under) openLambda(ctx context.Context, l net.Listener) (flow.Stack, error) {
	c, err := u.cloud(ctx, u.engines.secretsManager, false)
	if err != nil {
		return flow.Stack{}, err
	}
	hosts := map[string]localgateway.Function{}
	var url string
	if l == nil {
		url, err = u.openFront(ctx, c, hosts)
	} else {
		url, err = u.serveFront(l, c, hosts)
	}
	if err != nil {
		return flow.Stack{}, err
	}
	server, err := u.sam.Lambda(ctx, u.environment(c))
	if err != nil {
		return flow.Stack{}, err
	}
	u.atEnd(server.Close)
	for _, function := range u.sam.Functions() {
		hosts[function] = u.sam.Function(server, function)
	}
	return stackOf(c, url, hosts), nil
}

// api asks SAM's own gateway. It plays no authorization, so the event names
// nobody, and the function must refuse.
func (u *under) api(ctx context.Context) error {
	c, err := u.cloud(ctx, u.engines.secretsManager, true)
	if err != nil {
		return err
	}
	server, err := u.sam.API(ctx, u.environment(c))
	if err != nil {
		return err
	}
	defer server.Close()
	return refused(ctx, server)
}

func refused(ctx context.Context, server *engine.Server) error {
	for _, path := range []string{"/connections", "/connections/creative-force", "/connections/creative-force/token"} {
		a, err := flow.Curl{URL: server.URL}.Ask(ctx, http.MethodGet, path, "")
		if err != nil {
			return err
		}
		if a.Status != http.StatusForbidden || a.Code != "access_denied" {
			return fmt.Errorf("%s answered %d %s", path, a.Status, a.Code)
		}
	}
	return nil
}
