package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// deployed deploys the packaged stack on an emulator of AWS, and uses it. The driver
// is a package of tests; each of them is a check.
func (e *env) deployed(ctx context.Context) {
	var programs string
	ready := e.report.check(ctx, "ministack is installed", func(ctx context.Context) (err error) {
		programs, err = e.install(ctx, "ministack")
		return err
	}) && e.report.check(ctx, "the functions are packaged", func(ctx context.Context) error {
		build := exec.CommandContext(ctx, "scripts/build.sh", "package")
		build.Env = append(os.Environ(), "ARCH="+architecture())
		build.Stdout, build.Stderr = e.log, e.problems
		return build.Run()
	})
	if !ready {
		return
	}
	if err := e.tests(ctx, "./scripts/aws/internal/deployed", "TOKENVEND_TEST_MINISTACK="+programs); err != nil {
		e.report.count("the tests of the deployed stack", err, 0)
	}
}

// tests runs a package's tests, and reports each as a check. It fails when none
// passed, or when the package failed beside its tests.
func (e *env) tests(ctx context.Context, pkg, variable string) error {
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-count=1", "-timeout=15m", pkg)
	cmd.Env = append(os.Environ(), variable)
	cmd.Stderr = e.problems
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("go test %s: %w", pkg, err)
	}
	printed, before := map[string]string{}, *e.report
	for lines := bufio.NewScanner(out); lines.Scan(); {
		e.outcome(lines.Bytes(), printed)
	}
	err = cmd.Wait()
	switch {
	case err != nil && e.report.failed == before.failed:
		return fmt.Errorf("go test %s: %w\n%s", pkg, err, printed[""])
	case e.report.passed == before.passed:
		return fmt.Errorf("go test %s: no test passed", pkg)
	}
	return nil
}

// outcome reads one line of go test -json. It reports a test that has ended; until
// then, printed has what the test printed.
func (e *env) outcome(line []byte, printed map[string]string) {
	var event struct {
		Action, Test, Output string
		Elapsed              float64
	}
	if json.Unmarshal(line, &event) != nil {
		printed[""] += string(line) + "\n"
		return
	}
	switch event.Action {
	case "output", "build-output":
		printed[event.Test] += event.Output
	case "pass", "fail", "skip":
		if event.Test == "" {
			return
		}
		var err error
		switch event.Action {
		case "fail":
			err = errors.New(printed[event.Test])
		case "skip":
			err = fmt.Errorf("%s: %w", printed[event.Test], errMissing)
		}
		e.report.count(event.Test, err, event.Elapsed)
	}
}
