package cli

import (
	"context"
	"runtime/debug"

	"github.com/tokenvend/tokenvend/scripts/internal/localrun"
)

// devCommand runs the service on this machine.
type devCommand struct{}

func (devCommand) details() string { return localrun.Help("tokenvend") }

// Run serves until ctx ends.
func (devCommand) Run(ctx context.Context, s *session) error {
	if s.variable("GOGC") == "" {
		// So little memory stays in use that Go's default would collect dozens of times a
		// second under load. This costs some 15 MB and saves a tenth of the work.
		debug.SetGCPercent(400)
	}
	settings, err := localrun.ReadSettings(s.Lookup)
	if err != nil {
		return usageError{err}
	}
	return localrun.Run(ctx, settings, localrun.Env{Program: s.Program, Out: s.Out, Log: s.Err})
}
