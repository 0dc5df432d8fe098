#!/bin/sh
# Installs what the tests of the API description run: schemathesis and a generator
# of Python clients in the user's cache, and a generator of TypeScript clients in
# this folder. Both are pinned. Prints the folder of the Python environment, which
# TOKENVEND_TEST_OPENAPI names to the tests. Needs python3 with venv, and npm.
set -eu
cd "$(dirname "$0")"
case $(uname) in
Darwin) cache=$HOME/Library/Caches ;;
*) cache=${XDG_CACHE_HOME:-$HOME/.cache} ;;
esac
python=$cache/tokenvend/openapi
cmp -s requirements.txt "$python/requirements.txt" || {
	python3 -m venv --clear "$python"
	"$python/bin/pip" install --quiet --disable-pip-version-check --no-deps -r requirements.txt
	cp requirements.txt "$python/requirements.txt"
}
cmp -s package-lock.json node_modules/.installed || {
	npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
	cp package-lock.json node_modules/.installed
}
echo "$python"
