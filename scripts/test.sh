#!/bin/sh
# Runs every test of every module. The race detector needs a C compiler; without
# one the tests run all the same, and this says so. Arguments go to go test.
set -eu
cd "$(dirname "$0")/.."

race=
if command -v "$(go env CC)" >/dev/null 2>&1; then
	race=-race
	export CGO_ENABLED=1
else
	echo 'race detector: off, no C compiler found' >&2
fi

failed=0
for module in $(scripts/modules.sh); do
	go -C "$module" test $race "$@" ./... || failed=1
done
exit $failed
