package cli

import (
	"context"
	"errors"
	"os/exec"
	"runtime"
	"strings"
)

// openBrowser opens an address with a command, or with the desktop's browser when
// the command is empty.
func openBrowser(ctx context.Context, browser, address string) error {
	command := strings.Fields(browser)
	if len(command) == 0 {
		command = desktopBrowser()
	}
	// Some browsers stay in the foreground, so only the start is awaited. The browser
	// must outlive ctx.
	started := exec.CommandContext(context.WithoutCancel(ctx), command[0], append(command[1:len(command):len(command)], address)...)
	if err := started.Start(); err != nil {
		return errors.New(command[0] + " does not start")
	}
	go func() { _ = started.Wait() }()
	return nil
}

func desktopBrowser() []string {
	switch runtime.GOOS {
	case "darwin":
		return []string{"open"}
	case "windows":
		return []string{"rundll32", "url.dll,FileProtocolHandler"}
	}
	return []string{"xdg-open"}
}
