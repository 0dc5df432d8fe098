#!/bin/sh
# Every check that is not a test. Each prints one line. All of them run; the exit
# code is 1 when any failed.
set -u
cd "$(dirname "$0")/.." || exit
trap 'rm -f "$report"' EXIT
report=$(mktemp)
failed=0

# step NAME COMMAND… runs the command, and prints its output when it failed.
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
	for module in $(scripts/tools/modules.sh); do
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

# vulnerabilities needs a database from the network. A finding (exit code 3) fails
# the check. A database out of reach is reported, and does not.
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

# get_linter NAME installs a Python linter, pinned with its dependencies, in an
# environment of its own, unless it is there.
get_linter() {
	pins=scripts/tools/template/$1.txt home=build/tools/$1
	cmp -s "$pins" "$home/pins.txt" && return
	rm -rf "$home"
	python3 -m venv "$home" &&
		"$home/bin/pip" install -q --disable-pip-version-check --no-deps -r "$pins" &&
		cp "$pins" "$home/pins.txt"
}

# linter NAME ARGUMENT… runs it. Without Python, or with PyPI out of reach, it is
# reported as not checked, and does not fail: the Go test of the template always runs.
linter() {
	name=$1
	shift
	if cmp -s "scripts/tools/template/$name.txt" "build/tools/$name/pins.txt"; then
		step "$name" "build/tools/$name/bin/$name" "$@"
		return
	fi
	echo "NOT CHECKED  $name: it needs python3 with venv, and packages from PyPI"
	sed 's/^/      /' "build/tools/$name.log" | tail -n 5
}

# Installing the linters takes longest, once. It runs beside the other checks.
mkdir -p build/tools
for name in cfn-lint checkov openapi-spec-validator; do
	get_linter "$name" >"build/tools/$name.log" 2>&1
done &

step 'format' formatted
step 'vet' in_modules go vet ./...
step 'tools' go -C scripts/tools build -o ../../build/tools/ tool
step 'lint' in_modules "$PWD/build/tools/golangci-lint" run ./...
vulnerabilities
step 'go.mod is tidy' in_modules go mod tidy -diff
step 'command on other systems' env SYSTEMS='windows/amd64 darwin/arm64' scripts/build.sh command
step 'import rules' go test -count=1 ./scripts/internal/layering
step 'template' go -C scripts/tools test -count=1 ./template/...
wait
linter cfn-lint template.yaml
linter openapi-spec-validator pkg/gateway/openapi.yaml
linter checkov --config-file scripts/tools/template/checkov.yaml -f template.yaml
exit $failed
