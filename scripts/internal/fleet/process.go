package fleet

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/lambdahost"
)

// timeout is the template's.
func timeout(function string) time.Duration {
	if function == "renew" {
		return 55 * time.Second
	}
	return 28 * time.Second
}

// Process is one execution environment: a process, or its successor after it
// ended.
type Process struct {
	// Name is also its access key id.
	Name     string
	function string
	fleet    *Fleet
	host     *lambdahost.Host
}

// Process returns the execution environment of a function with that number. It
// starts cold at its first invocation. A new one gets the extra variables.
func (f *Fleet) Process(function string, number int, environment ...string) *Process {
	return f.process(f.config.Bootstraps, function, number, timeout(function), environment)
}

// Other is like Process, of other bootstraps: those that Build put into a folder from
// another release. The fleet has one process of a function and number.
func (f *Fleet) Other(bootstraps, function string, number int) *Process {
	return f.process(bootstraps, function, number, timeout(function), nil)
}

// Brief is like Process, with another timeout.
func (f *Fleet) Brief(function string, number int, timeout time.Duration) *Process {
	return f.process(f.config.Bootstraps, function, number, timeout, nil)
}

func (f *Fleet) process(bootstraps, function string, number int, timeout time.Duration, environment []string) *Process {
	name := fmt.Sprintf("%s-%02d", function, number)
	f.mu.Lock()
	defer f.mu.Unlock()
	if p := f.processes[name]; p != nil || f.processes == nil {
		return p
	}
	p := &Process{Name: name, function: function, fleet: f}
	p.host = lambdahost.New(lambdahost.Config{
		Bootstrap: bootstrap(bootstraps, function), Name: function, Timeout: timeout,
		Env:    append(f.Environment(name), environment...),
		Output: f.leaks.stream(name, f.config.Output),
	})
	f.processes[name] = p
	return p
}

// Environment is what a process of that name needs beside Lambda's own variables.
func (f *Fleet) Environment(name string) []string {
	return append([]string{"AWS_ACCESS_KEY_ID=" + name}, f.env...)
}

// Vends are the first n environments of the vend function.
func (f *Fleet) Vends(n int) []*Process {
	all := make([]*Process, n)
	for i := range all {
		all[i] = f.Process(Vend, i)
	}
	return all
}

// Named is the process of that name; nil when there is none.
func (f *Fleet) Named(name string) *Process {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.processes[name]
}

// Start makes the execution environment warm without invoking it.
func (p *Process) Start(ctx context.Context) error { return p.host.Start(ctx) }

// Kill ends the process; the next invocation starts another. An invocation under
// way fails with an error that says that the process exited.
func (p *Process) Kill() { _ = p.host.Signal(syscall.SIGKILL) } // fails only if it has ended

// Freeze stops the process, as Lambda does between invocations.
func (p *Process) Freeze() error { return p.host.Signal(syscall.SIGSTOP) }

// Thaw continues a frozen process.
func (p *Process) Thaw() error { return p.host.Signal(syscall.SIGCONT) }

// Use is what a process uses of the machine.
type Use struct {
	// Resident is its memory in bytes, Files its open file descriptors.
	Resident, Files int64
}

// Use reads it from /proc.
func (p *Process) Use() (Use, error) {
	folder := filepath.Join("/proc", strconv.Itoa(p.host.PID()))
	status, err := os.ReadFile(filepath.Join(folder, "statm"))
	if err != nil {
		return Use{}, fmt.Errorf("memory of %s: %w", p.Name, err)
	}
	files, err := os.ReadDir(filepath.Join(folder, "fd"))
	if err != nil {
		return Use{}, fmt.Errorf("files of %s: %w", p.Name, err)
	}
	fields := bytes.Fields(status)
	if len(fields) < 2 {
		return Use{}, fmt.Errorf("memory of %s: the kernel reports nothing", p.Name)
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return Use{Resident: pages * int64(os.Getpagesize()), Files: int64(len(files))}, err
}
