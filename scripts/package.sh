#!/bin/sh
# Builds what deploys without Go: build/package/<architecture>/template.yaml and one zip
# for each function. ARCH is the architecture (arm64, x86_64); unset means arm64.
set -eu
cd "$(dirname "$0")/.."
arch=${ARCH:-arm64}
[ "$arch" != amd64 ] || arch=x86_64
ARCH=$arch scripts/build.sh
go run ./scripts/internal/pack -arch "$arch" -out "build/package/$arch"
