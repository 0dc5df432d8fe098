#!/bin/sh
# Builds each function as Lambda requires: one static executable named bootstrap.
# ARCH is the architecture (arm64, amd64); unset means this machine's. "build.sh
# package" then packs what deploys without Go into build/package/<architecture>: a
# template and one zip for each function; unset means arm64 there. "build.sh command"
# builds the command for every system, and a Lambda layer and a container image of its
# agent.
set -eu
cd "$(dirname "$0")/.."

if [ "${1-}" = command ]; then
	out=build/command
	for system in ${SYSTEMS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64}; do
		program=$out/tokenvend-$(echo "$system" | tr / -)
		case $system in windows/*) program=$program.exe ;; esac
		CGO_ENABLED=0 GOOS=${system%/*} GOARCH=${system#*/} GOFLAGS=$(cat scripts/tools/goflags) go build -o "$program" ./scripts/tokenvend
		echo "$program ($(wc -c <"$program") bytes)"
		case $system in
		linux/*)
			go run ./scripts/internal/pack -layer "$program" -out "$out/layer-${system#*/}.zip"
			go -C scripts/tools run ./image -program "$PWD/$program" -arch "${system#*/}" -out "$PWD/$out/image-${system#*/}.tar"
			;;
		esac
	done
	exit
fi

# Lambda and SAM say x86_64 where Go says amd64.
if [ "${1-}" = package ]; then
	ARCH=${ARCH:-arm64}
fi
arch=${ARCH:-$(go env GOHOSTARCH)}
case $arch in
amd64 | x86_64) arch=amd64 ;;
arm64) ;;
*)
	echo "ARCH is '$arch': Lambda runs amd64 (x86_64) and arm64" >&2
	exit 2
	;;
esac

for folder in functions/*/; do
	name=$(basename "$folder")
	out=build/$name/bootstrap
	CGO_ENABLED=0 GOOS=linux GOARCH=$arch GOFLAGS=$(cat scripts/tools/goflags) go build -o "$out" "./functions/$name"
	echo "$out ($arch, $(wc -c <"$out") bytes)"
done

if [ "${1-}" = package ]; then
	[ "$arch" != amd64 ] || arch=x86_64
	exec go run ./scripts/internal/pack -arch "$arch" -out "build/package/$arch"
fi
