#!/bin/sh
# Builds an agent: build.sh [agent.go [agent.wasm]]
# Needs Go 1.26; nothing is fetched. The same compiler gives the same bytes.
set -eu
kit=$(cd "$(dirname "$0")" && pwd)
target=$(realpath -m "${2:-agent.wasm}")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/caxton" "$scratch/agent"
cp "$kit/go.mod" "$scratch/go.mod"
cp "$kit/caxton.go" "$scratch/caxton/caxton.go"
cp "${1:-agent.go}" "$scratch/agent/agent.go"
cd "$scratch"
GOOS=wasip1 GOARCH=wasm GOTOOLCHAIN=local GOPROXY=off GOFLAGS= GOWORK=off go build -buildmode=c-shared -trimpath \
  -buildvcs=false -ldflags="-s -w -buildid=" -o "$target" ./agent
chmod 644 "$target"
