#!/bin/sh
# Runs every test of every module. What a machine lacks is reported, and the rest
# runs: the race detector needs a C compiler, the tests on an engine need one that
# scripts/tools/engines/install.sh installs, and the tests in a browser need a
# Chromium that TOKENVEND_TEST_BROWSER names. Arguments go to go test.
set -eu
cd "$(dirname "$0")/.."

# An engine runs for as long as the tests do.
if [ -z "${TOKENVEND_TEST_DYNAMODB+set}" ]; then
	go build -o build/tools/with ./scripts/internal/engine/with
	exec build/tools/with scripts/test.sh "$@"
fi

race=
if command -v "$(go env CC)" >/dev/null 2>&1; then
	race=-race
	export CGO_ENABLED=1
else
	echo 'race detector: off; no C compiler found' >&2
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
