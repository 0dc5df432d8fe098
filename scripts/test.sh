#!/bin/sh
# Runs every test of every module. The race detector needs a C compiler, and the
# tests in a browser need one that TOKENVEND_TEST_BROWSER names; without them the
# rest runs all the same, and this says so. Arguments go to go test.
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
for module in $(scripts/tools/modules.sh); do
	if [ "$module" = ./scripts/tools/browser ] && [ -z "${TOKENVEND_TEST_BROWSER:-}" ]; then
		echo 'tests in a browser: off; set TOKENVEND_TEST_BROWSER to the path of a Chromium' >&2
		continue
	fi
	go -C "$module" test $race "$@" ./... || failed=1
done
exit $failed
