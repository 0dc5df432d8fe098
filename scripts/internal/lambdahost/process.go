package lambdahost

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// process is one run of a bootstrap. Each has a Runtime API of its own, so a late
// message of one run is never taken for its successor's.
type process struct {
	config Config
	cmd    *exec.Cmd
	server *http.Server
	api    *runtimeAPI
	// extension runs beside it; nil for none.
	extension *extension

	exited   chan struct{} // closed when the process has ended
	exitText string        // set before exited is closed

	// idle: it has asked for an event and not got one. The holder of the Host's busy
	// slot owns it.
	idle bool
}

// start launches a bootstrap and returns without waiting for it.
func start(c Config) (*process, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the Runtime API: %w", err)
	}
	p := &process{config: c, api: newRuntimeAPI(c), exited: make(chan struct{})}
	p.server = &http.Server{Handler: p.api, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = p.server.Serve(listener) }()
	if c.Extension != "" {
		if p.extension, err = startExtension(c, p.api, listener.Addr().String()); err != nil {
			_ = p.server.Close()
			return nil, err
		}
	}
	p.cmd = command(c, listener.Addr().String())
	if err := p.cmd.Start(); err != nil {
		p.endExtension((*extension).kill)
		_ = p.server.Close()
		return nil, fmt.Errorf("start %s: %w", filepath.Base(c.Bootstrap), err)
	}
	go p.reap()
	return p, nil
}

// endExtension ends the extension, if there is one.
func (p *process) endExtension(end func(*extension)) {
	if p.extension != nil {
		end(p.extension)
	}
}

// command prepares the child: a process group of its own, and the environment
// variables that Lambda sets.
func command(c Config, api string) *exec.Cmd {
	cmd := exec.Command(c.Bootstrap)
	cmd.Dir = filepath.Dir(c.Bootstrap)
	cmd.Stdout, cmd.Stderr = c.Output, c.Output // one writer, so exec serializes it
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	endWithParent(cmd.SysProcAttr)
	cmd.WaitDelay = time.Second // a grandchild may hold the pipe open
	cmd.Env = append([]string{
		"PATH=/usr/local/bin:/usr/bin:/bin", "TZ=:UTC", "LANG=en_US.UTF-8",
		"_HANDLER=bootstrap", "LAMBDA_TASK_ROOT=" + cmd.Dir,
		"AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_EXECUTION_ENV=AWS_Lambda_provided.al2023",
		"AWS_LAMBDA_FUNCTION_NAME=" + c.Name, "AWS_LAMBDA_FUNCTION_VERSION=$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE=256", "AWS_LAMBDA_INITIALIZATION_TYPE=on-demand",
		"AWS_LAMBDA_LOG_GROUP_NAME=/aws/lambda/" + c.Name, "AWS_LAMBDA_LOG_STREAM_NAME=local",
	}, c.Env...)
	cmd.Env = append(cmd.Env, "AWS_LAMBDA_RUNTIME_API="+api)
	return cmd
}

// reap waits for the process to end.
func (p *process) reap() {
	_ = p.cmd.Wait()
	p.exitText = p.cmd.ProcessState.String()
	p.endExtension((*extension).shutdown)
	_ = p.server.Close()
	close(p.exited)
}

// kill ends the whole group, stopped members too, and returns when it has ended.
func (p *process) kill() {
	if !p.hasExited() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
	<-p.exited
}

func (p *process) hasExited() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// ready waits until the process asks for an event: until its initialisation, or its
// work for the previous event, is done.
func (p *process) ready(ctx context.Context) error {
	if p.idle {
		return nil
	}
	if p.extension != nil {
		if err := p.extension.awaitReady(ctx); err != nil {
			return err
		}
	}
	select {
	case <-p.api.asked:
		p.idle = true
		return nil
	case err := <-p.api.initFailed:
		return err
	case <-p.exited:
		return p.exitError(p.api.initFailed, "initialisation")
	case <-p.config.After(p.config.InitTimeout):
		return fmt.Errorf("initialisation: %w after %s", ErrTimeout, p.config.InitTimeout)
	case <-ctx.Done():
		return fmt.Errorf("initialisation: %w", ctx.Err())
	}
}

// invoke gives one event to an idle process and waits for the outcome.
func (p *process) invoke(ctx context.Context, event []byte) ([]byte, error) {
	i := newInvocation(event, p.deadline(ctx))
	timeout := p.config.After(p.config.Timeout)
	p.idle = false
	p.api.offer <- i
	select {
	case answer := <-i.answer:
		return answer, nil
	case err := <-i.failed:
		return nil, err
	case <-p.exited:
		return nil, p.exitError(i.failed, "invocation")
	case <-timeout:
		return nil, fmt.Errorf("%w after %.2f seconds", ErrTimeout, p.config.Timeout.Seconds())
	case <-ctx.Done():
		return nil, fmt.Errorf("invocation: %w", ctx.Err())
	}
}

func (p *process) deadline(ctx context.Context) time.Time {
	deadline := p.config.Now().Add(p.config.Timeout)
	if sooner, ok := ctx.Deadline(); ok && sooner.Before(deadline) {
		return sooner
	}
	return deadline
}

// exitError is the error of a process that has ended: the one that it reported, if
// it did.
func (p *process) exitError(reported <-chan error, phase string) error {
	select {
	case err := <-reported:
		return err
	default:
		return fmt.Errorf("%s: %w: %s", phase, ErrExited, p.exitText)
	}
}
