package errand

import (
	"context"
	"errors"
	"os/exec"
	"runtime"
	"strings"
)

// Browser returns how to open an address: with the command that the variable
// BROWSER names, or else as the desktop does.
func Browser(variable string) func(ctx context.Context, address string) error {
	command := []string{"xdg-open"}
	switch named := strings.Fields(variable); {
	case len(named) > 0:
		command = named
	case runtime.GOOS == "darwin":
		command = []string{"open"}
	case runtime.GOOS == "windows":
		command = []string{"rundll32", "url.dll,FileProtocolHandler"}
	}
	return func(ctx context.Context, address string) error {
		// Some browsers stay in the foreground: whether one starts is all that is told.
		// Its end is the desktop's business, so that ctx does not end it either.
		started := exec.CommandContext(context.WithoutCancel(ctx), command[0], append(command[1:len(command):len(command)], address)...)
		if err := started.Start(); err != nil {
			return errors.New(command[0] + " does not start")
		}
		go func() { _ = started.Wait() }()
		return nil
	}
}
