#!/bin/sh
# Fuzzes every parser of untrusted input for FUZZTIME (30s by default), one on each
# processor. A failing input is written to the package's testdata/fuzz, and every
# later test run repeats it.
set -eu
cd "$(dirname "$0")/.."

# --one TARGET FOLDER fuzzes one target. The script runs itself with it.
if [ "${1-}" = --one ]; then
	# Minimizing an input may take a minute unless it is bounded, and nothing else runs meanwhile.
	failed=0
	report=$(go test -run '^$' -parallel 1 -fuzzminimizetime 500ms -fuzz "^$2\$" -fuzztime "${FUZZTIME:-30s}" "./$3" 2>&1) || failed=1
	# Go reports the end of the time as a failure where it interrupts a minimization. A
	# real one names the input that it wrote, or the seed.
	case $report in
	*'Failing input written'* | *'seed corpus entry'*) ;;
	*'context deadline exceeded'*) failed=0 ;;
	esac
	if [ $failed = 0 ]; then
		echo "ok    $2 $(echo "$report" | sed -n 's/.*execs: \([0-9]*\).*/\1 inputs/p' | tail -n 1)"
		exit
	fi
	printf 'FAIL  %s\n%s\n' "$2" "$(echo "$report" | sed 's/^/      /')"
	exit 1
fi

for file in $(git ls-files '*_test.go' | xargs grep -l '^func Fuzz'); do
	sed -n "s|^func \(Fuzz[A-Za-z0-9_]*\)(.*|\1 $(dirname "$file")|p" "$file"
done | xargs -P "$(getconf _NPROCESSORS_ONLN)" -n 2 scripts/fuzz.sh --one
