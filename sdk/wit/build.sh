#!/bin/sh
# Builds an agent in C as a component: build.sh component.c agent.wasm
# Its world is the one whose header it includes: "agent.h" or "full_agent.h".
# Needs what sdk/c/build.sh needs, wit-bindgen 0.63.0 (`cargo install wit-bindgen-cli`) and jco 1.16.1
# (`npm install --global @bytecodealliance/jco`), whose `new` is that of wasm-tools. The same tools give the same bytes.
set -eu
kit=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
header=$(sed -n 's/^#include "\([a-z_]*agent\)\.h"$/\1/p' "$1")
wit-bindgen c --world "$(echo "$header" | tr _ -)" --out-dir "$work" "$kit/caxton-agent.wit" >"$work/log" 2>&1
clang-14 --target=wasm32-wasi -std=c11 -O2 -I "$work" -c -o "$work/bindings.o" "$work/$header.c"
clang-14 --target=wasm32-wasi -mexec-model=reactor -std=c11 -O2 -Wall -Wextra -Werror -I "$work" \
  -Wl,--strip-all -Wl,-z,stack-size=32768 \
  -o "$work/core.wasm" "$1" "$work/bindings.o" "$work/${header}_component_type.o"
jco new --wasi-reactor "$work/core.wasm" -o "$2" >"$work/log"
chmod 644 "$2"
