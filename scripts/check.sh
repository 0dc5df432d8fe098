#!/bin/sh
# Every check that is not a test. Each prints one line; all run, and one that
# fails fails the whole.
set -u
cd "$(dirname "$0")/.." || exit
trap 'rm -f "$report"' EXIT
report=$(mktemp)
failed=0

# step NAME COMMAND… runs the command, and shows what it said when it failed.
step() {
	name=$1
	shift
	if "$@" >"$report" 2>&1; then
		echo "ok    $name"
	else
		echo "FAIL  $name"
		sed 's/^/      /' "$report"
		failed=1
	fi
}

# in_modules COMMAND… runs it in every module of the tree.
in_modules() {
	for module in $(scripts/modules.sh); do
		(cd "$module" && "$@") || return
	done
}

formatted() {
	unformatted=$(git ls-files --cached --others --exclude-standard -- '*.go' | xargs -r gofmt -l) || return
	[ -z "$unformatted" ] || {
		echo "run gofmt -w on:"
		echo "$unformatted"
		return 1
	}
}

# vulnerabilities needs a database from the network. A finding (exit code 3) is
# fatal; a database out of reach is told, loudly, and is not.
vulnerabilities() {
	build/tools/govulncheck ./... >"$report" 2>&1
	case $? in
	0)
		echo 'ok    vulnerabilities'
		return
		;;
	3) echo 'FAIL  vulnerabilities' ;;
	*)
		if grep -Eq 'vuln\.go\.dev|dial tcp|no such host' "$report"; then
			echo 'NOT CHECKED  vulnerabilities: the database (vuln.go.dev) is out of reach'
			sed 's/^/      /' "$report"
			return
		fi
		echo 'FAIL  vulnerabilities: govulncheck did not run'
		;;
	esac
	sed 's/^/      /' "$report"
	failed=1
}

step 'format' formatted
step 'vet' in_modules go vet ./...
step 'tools' go -C scripts/tools build -o ../../build/tools/ tool
step 'lint' in_modules "$PWD/build/tools/staticcheck" ./...
vulnerabilities
step 'go.mod is tidy' in_modules go mod tidy -diff
step 'import rules' go test -count=1 ./scripts/internal/house
step 'template' go -C scripts/tools test -count=1 ./template
exit $failed
