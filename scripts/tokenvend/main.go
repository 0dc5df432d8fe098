// Command tokenvend runs the service on this machine and administers deployments of
// it. Its --help lists the subcommands.
package main

import (
	"os"

	"github.com/tokenvend/tokenvend/scripts/internal/cli"
)

func main() { os.Exit(cli.Main()) }
