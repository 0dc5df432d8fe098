#!/bin/sh
# Fuzzes every parser of outside bytes, each for FUZZTIME (30s unless said
# otherwise). What fails is written to the package's testdata/fuzz, from where
# every later test run repeats it.
set -eu
cd "$(dirname "$0")/.."

failed=0
for file in $(git ls-files '*_test.go' | xargs grep -l '^func Fuzz'); do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		if report=$(go test -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-30s}" "./$(dirname "$file")" 2>&1); then
			echo "ok    $target $(echo "$report" | sed -n 's/.*execs: \([0-9]*\).*/\1 inputs/p' | tail -n 1)"
		else
			echo "FAIL  $target"
			echo "$report" | sed 's/^/      /'
			failed=1
		fi
	done
done
exit $failed
