// Package share limits a process to a share of one CPU, as Lambda limits a
// function: all its threads together may run for so long in each period, and
// then wait until the period ends.
//
// The kernel does so where control groups can be made (cgroup v2 or v1, usually
// only by root). Elsewhere signals stop and continue the process. That is
// coarser and slower for a process that waits: signals count elapsed time, not
// CPU time. So a figure names its means.
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

// OfMemory is what Lambda gives a function of so many megabytes. One of 1,769
// gets a whole CPU
// (https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html). The
// period is what was observed on Lambda.
func OfMemory(megabytes int) Share {
	const period, wholeCPU = 20 * time.Millisecond, 1769
	return Share{Running: period * time.Duration(megabytes) / wholeCPU, Period: period}
}

// Process is what can be limited; a *lambdahost.Host is one.
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
	// Remove removes an empty control group; nil means os.Remove.
	Remove func(path string) error
}

// Limiter limits any number of processes, each to a share of its own, all by the
// same means.
type Limiter struct {
	share  Share
	groups *groups // nil when signals are used
}

// New finds the means by trying to make a control group.
func New(c Config) *Limiter {
	l := &Limiter{share: c.Share}
	if g := findGroups(c); g != nil && g.usable() {
		l.groups = g
	}
	return l
}

// Means names what processes are limited by.
func (l *Limiter) Means() string {
	if l.groups == nil {
		return "signals"
	}
	return l.groups.version
}

// Limit limits p from now on, which begins its first period. Call lift when p has
// ended; it removes the limit.
func (l *Limiter) Limit(p Process) (lift func() error, err error) {
	if l.groups != nil {
		return l.groups.limit(p.PID())
	}
	return l.share.pace(p), nil
}
