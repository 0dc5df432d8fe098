#!/bin/sh
# Prints the folder of every module in the tree. Those under scripts/ are for
# tests and checks only; they keep the service's go.mod free of what it does not ship.
set -eu
cd "$(dirname "$0")/../.."
find . -name go.mod -not -path '*/node_modules/*' -not -path './build/*' -exec dirname {} \; | sort
