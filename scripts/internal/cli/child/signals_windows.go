package child

import "os"

// passed are the signals that must not end this process before the program.
var passed = []os.Signal{os.Interrupt}

// fromTerminal is true: Windows sends Ctrl-C to every program of the console itself.
func fromTerminal(os.Signal) bool { return true }
