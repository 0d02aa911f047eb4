#!/bin/sh
# Builds an agent: build.sh [agent.rs [agent.wasm]]
# Needs rustc with the standard library of wasm32-unknown-unknown (RUSTC names another one; cargo is not needed).
# The same compiler gives the same bytes.
set -eu
kit=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$(dirname "${1:-agent.rs}")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
compile() {
  "${RUSTC:-rustc}" --edition=2021 --target=wasm32-unknown-unknown -C opt-level=s -C panic=abort \
    -C codegen-units=1 -C metadata=caxton --remap-path-prefix "$kit=kit" \
    --remap-path-prefix "$source=agent" --remap-path-prefix "$scratch=scratch" "$@"
}
compile --crate-type=rlib --crate-name=caxton -o "$scratch/libcaxton.rlib" "$kit/caxton.rs"
compile --crate-type=cdylib --crate-name=agent --extern "caxton=$scratch/libcaxton.rlib" -C lto -C strip=symbols \
  -C link-arg=-zstack-size=32768 -o "${2:-agent.wasm}" "$source/$(basename "${1:-agent.rs}")"
chmod 644 "${2:-agent.wasm}"
