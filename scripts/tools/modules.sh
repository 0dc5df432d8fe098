#!/bin/sh
# Prints the folder of every module in the tree. Those under scripts/ are for tests
# and checks, and keep their dependencies out of the service's go.mod.
set -eu
cd "$(dirname "$0")/../.."
find . -name go.mod -not -path '*/node_modules/*' -not -path './build/*' -exec dirname {} \; | sort
