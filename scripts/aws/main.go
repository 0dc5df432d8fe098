// Command aws runs the service on what is not ours: DynamoDB Local, moto's
// Secrets Manager, and SAM with a Docker Engine under it.
//
// aws test is what make test-aws runs: the stores' conformance suites, the
// fleet's races, the built functions as processes, and SAM's build, validation
// and three ways of running functions. Each check prints a line. What this
// machine lacks is told, with how to get it, and counted as not run.
//
// aws local is what make sam-local runs: the stack under SAM, with the sandbox
// as its providers, until it is interrupted.
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

	"github.com/tokenvend/tokenvend/scripts/aws/internal/provision"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are what the command line says.
type options struct {
	local   bool
	require bool
	own     bool
	only    *regexp.Regexp
	log     string
}

// run returns the exit code: 1 when a check failed, or could not be run and had
// to be, 2 for how it was called.
func run(ctx context.Context, args []string, out, progress io.Writer) int {
	o, err := parse(args, progress)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	b, err := open(o, out, progress)
	if err == nil {
		defer b.close()
		if o.local {
			err = b.serve(ctx)
		} else {
			err = b.test(ctx)
		}
	}
	if err != nil {
		fmt.Fprintln(progress, "aws:", err)
		return 1
	}
	return 0
}

// parse tells progress what is wrong with the arguments.
func parse(args []string, progress io.Writer) (options, error) {
	o := options{}
	flags := flag.NewFlagSet("aws", flag.ContinueOnError)
	flags.SetOutput(progress)
	flags.Usage = func() {
		fmt.Fprintln(progress, "Usage: go run ./scripts/aws [flags] test|local")
		flags.PrintDefaults()
	}
	flags.BoolVar(&o.require, "require", false, "fail when something cannot be run")
	flags.BoolVar(&o.own, "own-docker", false, "start a Docker Engine even where one runs; needs root")
	flags.StringVar(&o.log, "log", filepath.Join("build", "aws.log"), "what engines, SAM and functions say goes to this `file`")
	only := flags.String("only", "", "run only sections whose name matches this `expression`")
	if err := flags.Parse(args); err != nil {
		return o, err // told already
	}
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		fmt.Fprintln(progress, "aws: -only:", err)
		return o, err
	}
	switch what := flags.Arg(0); {
	case flags.NArg() == 1 && (what == "test" || what == "local"):
		o.local = what == "local"
		return o, nil
	default:
		flags.Usage()
		return o, errors.New("say test or local")
	}
}

// bench is what the checks are run on.
type bench struct {
	options  options
	report   *report
	progress io.Writer
	// log gets what everything that is started says.
	log *os.File
	// root is the tree, work a folder that goes when the bench does.
	root, work string
	tools      *provision.Store
	ends       []func()
}

// open makes the folders. Nothing is started yet.
func open(o options, out, progress io.Writer) (*bench, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("folder to keep tools in: %w", err)
	}
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
	return &bench{
		options: o, report: &report{out: out}, progress: progress, log: log, root: root, work: work,
		tools: provision.New(provision.Config{Pins: "scripts/tools/engines", Cache: filepath.Join(cache, "tokenvend"), Progress: progress}),
	}, nil
}

// atEnd has something ended when the bench is closed, the latest first.
func (b *bench) atEnd(end func()) { b.ends = append(b.ends, end) }

func (b *bench) close() {
	for len(b.ends) > 0 {
		last := len(b.ends) - 1
		b.ends[last]()
		b.ends = b.ends[:last]
	}
	_ = b.log.Close()
	_ = os.RemoveAll(b.work)
}
