// Package docker gives SAM a Docker Engine: the one that runs, or one that it
// starts itself. It also makes the image that SAM runs functions in.
package docker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// ErrMissing means that this machine lacks something. The text before it says
// what, the text after it how to get it.
var ErrMissing = errors.New("missing on this machine")

func missing(what, remedy string) error { return fmt.Errorf("%s is %w: %s", what, ErrMissing, remedy) }

const remedy = "start Docker, or as root on Debian: apt-get install docker.io iptables"

// Engine is a Docker Engine that answers.
type Engine struct {
	// Host is DOCKER_HOST for it; empty is Docker's own default.
	Host string
	// Version is the server's.
	Version string

	cmd    *exec.Cmd // nil when it was running already
	exited chan struct{}
	folder string
}

// Config is what Open needs.
type Config struct {
	// Own starts an engine of its own even where one runs.
	Own bool
	// Progress gets a line about what takes long.
	Progress io.Writer
}

// Open returns an engine.
func Open(ctx context.Context, c Config) (*Engine, error) {
	if _, err := exec.LookPath("docker"); err != nil {
		return nil, missing("docker", remedy)
	}
	if !c.Own {
		running := &Engine{}
		if err := running.ask(ctx); err == nil {
			return running, nil
		}
	}
	daemon, err := exec.LookPath("dockerd")
	if err != nil || os.Geteuid() != 0 {
		return nil, missing("a Docker Engine", remedy)
	}
	fmt.Fprintln(c.Progress, "starting dockerd")
	return start(ctx, daemon)
}

// startTimeout is how long dockerd may take to answer, or to stop.
const startTimeout = time.Minute

// start runs a daemon whose images, containers and socket are in a folder of
// its own, which Close removes.
func start(ctx context.Context, daemon string) (*Engine, error) {
	folder, err := os.MkdirTemp("", "dockerd-")
	if err != nil {
		return nil, fmt.Errorf("folder for dockerd: %w", err)
	}
	socket := filepath.Join(folder, "docker.sock")
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		return nil, fmt.Errorf("log of dockerd: %w", err)
	}
	defer log.Close()
	e := &Engine{Host: "unix://" + socket, exited: make(chan struct{}), folder: folder}
	e.cmd = exec.Command(daemon, "--host", e.Host, "--data-root", filepath.Join(folder, "data"),
		"--exec-root", filepath.Join(folder, "exec"), "--pidfile", filepath.Join(folder, "pid"))
	e.cmd.Stdout, e.cmd.Stderr = log, log
	e.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt must not reach it before its containers ended
	if err := e.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start dockerd: %w", err), os.RemoveAll(folder))
	}
	go func() { _ = e.cmd.Wait(); close(e.exited) }()
	if err := e.await(ctx); err != nil {
		text, _ := os.ReadFile(log.Name()) // only to explain the error
		e.Close()
		return nil, fmt.Errorf("start dockerd: %w\n%s", err, tail(text, 15))
	}
	return e, nil
}

func (e *Engine) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	retry := time.NewTicker(100 * time.Millisecond)
	defer retry.Stop()
	for {
		err := e.ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-e.exited:
			return errors.New("it ended")
		case <-ctx.Done():
			return err
		case <-retry.C:
		}
	}
}

func (e *Engine) ask(ctx context.Context) (err error) {
	e.Version, err = e.Docker(ctx, nil, "version", "--format", "{{.Server.Version}}")
	return err
}

// Close ends an engine that was started here, and removes what it held.
func (e *Engine) Close() {
	if e.cmd == nil {
		return
	}
	_ = e.cmd.Process.Signal(syscall.SIGTERM) // so that it unmounts and ends its containers
	select {
	case <-e.exited:
	case <-time.After(startTimeout):
		_ = e.cmd.Process.Kill()
		<-e.exited
	}
	_ = os.RemoveAll(e.folder)
}

// Environment is what a program needs to find the engine.
func (e *Engine) Environment() []string {
	if e.Host == "" {
		return nil
	}
	return []string{"DOCKER_HOST=" + e.Host}
}

// Docker runs the client, and returns what it printed without the line's end.
func (e *Engine) Docker(ctx context.Context, input io.Reader, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Env = append(os.Environ(), e.Environment()...)
	cmd.Stdin = input
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("docker %s: %w: %s", args[0], err, tail(problems.Bytes(), 1))
	}
	return strings.TrimSpace(out.String()), nil
}

// Listen opens a port that containers reach and other machines do not. It
// returns the host under which containers reach it: the address of the engine's
// bridge or, where that is inside a virtual machine as with Docker Desktop,
// Docker's name for this machine's loopback.
func (e *Engine) Listen(ctx context.Context) (l net.Listener, host string, err error) {
	bridge, err := e.Docker(ctx, nil, "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}")
	if err == nil && bridge == "" { // older engines fill it in with the first container
		bridge = "172.17.0.1"
	}
	if err != nil {
		return nil, "", fmt.Errorf("find the bridge's address: %w", err)
	}
	if l, err = net.Listen("tcp", net.JoinHostPort(bridge, "0")); err == nil {
		return l, bridge, nil
	}
	l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", "0"))
	return l, HostName, err
}

// HostName is what containers call this machine.
const HostName = "host.docker.internal"

// tail is the end of a text, for a message.
func tail(text []byte, lines int) []byte {
	all := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return bytes.Join(all[max(0, len(all)-lines):], []byte("\n"))
}
