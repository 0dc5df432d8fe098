#!/usr/bin/env bash
# Builds and tests the clients in Python and TypeScript, runs their READMEs, the
# snippets in other languages, and callers in all languages at once against the local
# run. Installs what they need under build/. What is missing is reported; with
# -require it fails. The last line counts the tests.
set -u
cd "$(dirname "$0")/.." || exit
require=${1-}
passed=0 failed=0
mkdir -p build/clients
out=$PWD/build/clients

# step NAME COMMAND… runs the command, and prints its output when it failed.
step() {
	local name=$1
	shift
	if "$@" >"$out/log" 2>&1; then
		echo "ok    $name"
		return
	fi
	echo "FAIL  $name"
	sed 's/^/      /' "$out/log"
	failed=$((failed + 1))
	return 1
}

# count PATTERN adds the number of tests that passed, as the last step printed it.
count() {
	passed=$((passed + $(sed -n "s/$1/\1/p" "$out/log")))
}

# count_go adds the tests that the last step printed as passed, and prints the skipped.
count_go() {
	passed=$((passed + $(grep -c -e '--- PASS' "$out/log")))
	grep -e '--- SKIP' -A 1 "$out/log"
	return 0
}

missing() {
	echo "NOT RUN  $1"
	[ "$require" != -require ] || failed=$((failed + 1))
}

# pythons prints the oldest and the newest Python that the package supports.
pythons() {
	local minor found=()
	for minor in $(seq 9 30); do
		for python in "python3.$minor" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3."$minor".*/bin/python; do
			"$python" -c 'import ensurepip' 2>/dev/null && { found+=("$python"); break; }
		done
	done
	[ ${#found[@]} -gt 0 ] || return
	printf '%s\n' "${found[0]}" "${found[-1]}" | uniq
}

# test_python PYTHON FOLDER
test_python() (
	local folder=$PWD/$2 pip=$2/bin/pip
	"$1" -m venv "$folder" &&
		"$pip" install --quiet --disable-pip-version-check 'pkg/client/python[requests,httpx]' -r pkg/client/python/tests/requirements.txt &&
		"$pip" install --quiet --disable-pip-version-check --no-deps --force-reinstall pkg/client/python &&
		cd pkg/client/python && "$folder/bin/python" -m pytest
)

# check_python FOLDER: style, types, and a wheel with the types' marker.
check_python() (
	local folder=$PWD/$1
	"$folder/bin/pip" install --quiet --disable-pip-version-check -r pkg/client/python/tests/lint.txt &&
		"$folder/bin/pip" wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$out" pkg/client/python &&
		"$folder/bin/python" -m zipfile -l "$out"/tokenvend-*.whl | grep tokenvend/py.typed &&
		cd pkg/client/python && "$folder/bin/ruff" check . && "$folder/bin/ruff" format --check . && "$folder/bin/mypy"
)

# test_typescript tests the source, then the package as programs install it.
test_typescript() (
	local package=pkg/client/typescript
	npm --prefix $package test &&
		npm pack ./$package --silent --pack-destination "$out" &&
		npm install --prefix "$out" --no-audit --no-fund --loglevel=error "$out"/tokenvend-client-*.tgz &&
		cd "$out" && node --input-type=commonjs -e 'const assert = require("node:assert"), { TokenvendError } = require("@tokenvend/client");
			import("@tokenvend/client").then((module) => assert.equal(module.TokenvendError, TokenvendError))'
)

# installed PROCESS LOG waits for an installation in the background.
installed() {
	wait "$1" || { cat "$2"; return 1; }
}

# Downloads take longest. They run beside the tests of Python.
if command -v npm >/dev/null; then
	npm --prefix pkg/client/typescript ci --no-audit --no-fund --loglevel=error >"$out/npm.log" 2>&1 &
	npm=$!
fi
if command -v mvn >/dev/null; then
	mvn -q -B -f scripts/internal/clients/testdata/java/pom.xml dependency:copy-dependencies -DoutputDirectory="$out/java" >"$out/mvn.log" 2>&1 &
	mvn=$!
fi

export TOKENVEND_TEST_CLIENTS=1
newest=
for python in $(pythons); do
	newest=build/clients/$(basename "$("$python" -c 'import platform; print("python-" + platform.python_version())')")
	step "tests on $(basename "$newest")" test_python "$python" "$newest" && count '^\([0-9]*\) passed.*'
done
if [ -n "$newest" ]; then
	step 'style and types of Python' check_python "$newest"
	export TOKENVEND_TEST_PYTHON=$PWD/$newest/bin/python
else
	missing 'the Python client: it needs python3 3.9 or later with venv'
fi
if [ -n "${npm-}" ]; then
	step 'packages for Node.js' installed "$npm" "$out/npm.log" && step 'tests on Node.js' test_typescript && count '^# pass \([0-9]*\)$'
	export TOKENVEND_TEST_NODE_CLIENT=$out/node_modules/@tokenvend/client
else
	missing 'the TypeScript client: it needs npm'
fi
if [ -n "${mvn-}" ]; then
	step 'packages for Java' installed "$mvn" "$out/mvn.log" &&
		export TOKENVEND_TEST_JAVA=$out/java
else
	echo 'NOT RUN  the Java snippet: it needs java and mvn'
fi
# The local run uses fixed ports in READMEs, so they come after the other tests.
step 'all languages against the local run' go test -count=1 -v ./scripts/internal/clients && count_go
if [ -n "$newest" ] && [ -n "${npm-}" ]; then
	step 'READMEs' go -C scripts/tools test -count=1 -v -run TestClientREADMEs ./readme && count_go
fi

echo "clients: $passed passed, $failed failed"
[ "$failed" = 0 ]
