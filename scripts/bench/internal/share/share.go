// Package share holds a process to a share of one CPU, as Lambda holds a
// function: all its threads together may run for so long in each period, and
// then stand still until the period ends.
//
// The kernel does so where control groups may be made (cgroup v2 or v1, as a
// rule by root alone). Elsewhere signals stop and continue the process. That is
// coarser, and harder on whoever waits: signals go by the time that passes, not
// by the CPU time that is used. So a figure is to be told with its means.
package share

import (
	"syscall"
	"time"
)

// Share is a part of one CPU's time.
type Share struct {
	// Running is how long a process may use a CPU in each Period.
	Running, Period time.Duration
}

// OfMemory is what Lambda gives a function of so many megabytes. One that has
// 1,769 gets a whole CPU
// (https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html). The
// period is what functions were seen to be held by.
func OfMemory(megabytes int) Share {
	const period, wholeCPU = 20 * time.Millisecond, 1769
	return Share{Running: period * time.Duration(megabytes) / wholeCPU, Period: period}
}

// Process is what can be held; a *lambdahost.Host is one.
type Process interface {
	// PID is its id, 0 when it has ended.
	PID() int
	// Signal fails once it has ended.
	Signal(syscall.Signal) error
}

// Config is what a Limiter needs.
type Config struct {
	Share Share
	// Root is where control groups are mounted; empty means /sys/fs/cgroup.
	Root string
	// Remove takes an empty control group away; nil means os.Remove.
	Remove func(path string) error
}

// Limiter holds any number of processes, each to a share of its own, and all by
// the same means.
type Limiter struct {
	share  Share
	groups *groups // nil when signals have to do
}

// New finds the means by trying to make a control group.
func New(c Config) *Limiter {
	l := &Limiter{share: c.Share}
	if g := findGroups(c); g != nil && g.usable() {
		l.groups = g
	}
	return l
}

// Means names what processes are held by.
func (l *Limiter) Means() string {
	if l.groups == nil {
		return "signals"
	}
	return l.groups.version
}

// Limit holds p from now on, its first period just begun. Call lift when p has
// ended; it returns when nothing is left of the limit.
func (l *Limiter) Limit(p Process) (lift func() error, err error) {
	if l.groups != nil {
		return l.groups.hold(p.PID())
	}
	return l.share.pace(p), nil
}
