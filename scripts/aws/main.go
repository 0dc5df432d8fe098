// Command aws is what make test-aws runs: the stores' conformance suites on
// engines that share no code with this project; the stack, deployed on an emulator
// of AWS; and SAM: it validates the template, builds the functions, and runs each of
// them in a container against every saved event.
//
// Each check prints a line. A check that this machine lacks something for is
// reported as not run, with how to get it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are the command line's.
type options struct {
	require bool
	own     bool
	only    *regexp.Regexp
	log     string
}

// run returns the exit code: 1 when a check failed, or was required and not run,
// and 2 for wrong usage.
func run(ctx context.Context, args []string, out, problems io.Writer) int {
	o, err := parse(args, problems)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	env, err := open(o, out, problems)
	if err == nil {
		defer env.close()
		err = env.test(ctx)
	}
	if err != nil {
		fmt.Fprintln(problems, "aws:", err)
		return 1
	}
	return 0
}

// parse reports what is wrong with the arguments.
func parse(args []string, problems io.Writer) (options, error) {
	o := options{}
	flags := flag.NewFlagSet("aws", flag.ContinueOnError)
	flags.SetOutput(problems)
	flags.BoolVar(&o.require, "require", false, "fail when a check cannot be run")
	flags.BoolVar(&o.own, "own-docker", false, "start a Docker Engine even where one runs; needs root")
	flags.StringVar(&o.log, "log", filepath.Join("build", "aws.log"), "write what engines, SAM and functions print to this `file`")
	only := flags.String("only", "", "run only sections whose name matches this `expression`")
	if err := flags.Parse(args); err != nil {
		return o, err // reported by flags
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		fmt.Fprintln(problems, "aws: -only:", err)
		return o, err
	}
	if flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q; see -help", flags.Arg(0))
		fmt.Fprintln(problems, "aws:", err)
	}
	return o, err
}

// env is what the checks share.
type env struct {
	options  options
	report   *report
	problems io.Writer
	// log gets what every program prints that is started here.
	log *os.File
	// root is the tree; work is a folder that close removes.
	root, work string
	closers    []func()
}

// open makes the folders. It starts nothing.
func open(o options, out, problems io.Writer) (*env, error) {
	root, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("folder of the tree: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(o.log), 0o755); err != nil {
		return nil, fmt.Errorf("folder of the log: %w", err)
	}
	log, err := os.Create(o.log)
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	work, err := os.MkdirTemp("", "tokenvend-aws-")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("folder to work in: %w", err), log.Close())
	}
	return &env{options: o, report: &report{out: out}, problems: problems, log: log, root: root, work: work}, nil
}

// test runs every section.
func (e *env) test(ctx context.Context) error {
	for _, section := range []struct {
		name string
		run  func(context.Context)
	}{{"tokens", e.tokens}, {"secrets", e.secrets}, {"the stack", e.deployed}, {"SAM", e.sam}} {
		if e.options.only.MatchString(section.name) {
			e.report.section(section.name)
			section.run(ctx)
		}
	}
	return errors.Join(e.report.end(e.options.require), ctx.Err())
}

// onClose calls f when the env is closed, the latest first.
func (e *env) onClose(f func()) { e.closers = append(e.closers, f) }

func (e *env) close() {
	for len(e.closers) > 0 {
		last := len(e.closers) - 1
		e.closers[last]()
		e.closers = e.closers[:last]
	}
	_ = e.log.Close()
	_ = os.RemoveAll(e.work)
}
