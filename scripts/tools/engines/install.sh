#!/bin/sh
# Installs the programs that tests run against. dynoxide and dynalite serve as
# DynamoDB: the first is built with cargo into the user's cache and needs Rust 1.88
# or later, the second is an npm package, pinned in this folder. python is SAM CLI
# and moto, pinned in requirements.txt, and ministack, pinned in ministack.txt, plays
# all of AWS that the stack uses; both are in the user's cache. Arguments name what
# to install; none means the two databases. Exits with 3 when this machine lacks what
# one of them needs, and with 1 when an installation fails.
set -eu
cd "$(dirname "$0")"
version=3.2.0
case $(uname) in
Darwin) cache=$HOME/Library/Caches ;;
*) cache=${XDG_CACHE_HOME:-$HOME/.cache} ;;
esac
cache=$cache/tokenvend
[ "$#" -gt 0 ] || set -- dynoxide dynalite

# recent_rust reports whether cargo is there in a version that can build dynoxide.
recent_rust() {
	found=$(cargo --version 2>/dev/null | sed -n 's/^cargo 1\.\([0-9]*\).*/\1/p')
	[ "${found:-0}" -ge 88 ]
}

install_dynoxide() {
	grep -qs "dynoxide-rs $version " "$cache/dynoxide/.crates.toml" && return
	recent_rust || {
		echo 'NOT INSTALLED  dynoxide: it needs cargo of Rust 1.88 or later (https://rustup.rs)' >&2
		return 3
	}
	cargo install dynoxide-rs --version "$version" --locked --no-default-features \
		--features native-sqlite,http-server,cli --root "$cache/dynoxide"
}

install_dynalite() {
	command -v npm >/dev/null || {
		echo 'NOT INSTALLED  dynalite: it needs Node.js with npm' >&2
		return 3
	}
	cmp -s package-lock.json node_modules/.installed && return
	npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
	cp package-lock.json node_modules/.installed
}

# environment NAME PINS makes a virtual environment of Python in the cache.
environment() {
	cmp -s "$2" "$cache/$1/$2" && return
	python3 -m venv --clear "$cache/$1" &&
		"$cache/$1/bin/pip" install --quiet --disable-pip-version-check -r "$2" &&
		cp "$2" "$cache/$1/$2"
}

install_python() { environment python requirements.txt; }

install_ministack() { environment ministack ministack.txt; }

status=0
for name; do
	code=0
	"install_$name" || code=$?
	case $code in
	0) ;;
	3) [ "$status" != 0 ] || status=3 ;;
	*) status=1 ;;
	esac
done
exit $status
