//go:build unix

package child

import (
	"os"
	"syscall"
)

// passed are the signals for the program. Job control is the shell's.
var passed = []os.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2}

// fromTerminal reports whether the terminal sends a signal to the program itself: Ctrl-C
// and Ctrl-\.
func fromTerminal(s os.Signal) bool { return s == syscall.SIGINT || s == syscall.SIGQUIT }
