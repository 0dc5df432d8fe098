package cli

import (
	"errors"
	"fmt"

	"github.com/alecthomas/kong"
)

// printHelp prints a command's help without the global flags that it does not use,
// and its details as they are written.
func printHelp(options kong.HelpOptions, k *kong.Context) error {
	command := k.Selected()
	if command != nil && command.Leaf() {
		for _, flag := range k.Model.Flags {
			flag.Hidden = flag != k.Model.HelpFlag && !uses(command, flag)
		}
	}
	if err := kong.DefaultHelpPrinter(options, k); err != nil {
		return err
	}
	if command == nil {
		return errHelp
	}
	if detailed, ok := command.Target.Addr().Interface().(interface{ details() string }); ok {
		fmt.Fprint(k.Stdout, "\n"+detailed.details())
	}
	return errHelp
}

// withHelp adds the command that prints the help for a line that failed to parse.
func withHelp(err error, program string, k *kong.Context) error {
	if errors.Is(err, errHelp) {
		return err
	}
	if k != nil && k.Selected() != nil {
		program += " " + k.Selected().Path()
	}
	return fmt.Errorf("%w; see %s --help", err, program)
}
