#!/bin/sh
# Builds an agent in C as a component: build.sh component.c agent.wasm
# Needs what sdk/c/build.sh needs, wit-bindgen 0.63.0 (`cargo install wit-bindgen-cli`) and jco 1.16.1
# (`npm install --global @bytecodealliance/jco`), whose `new` is that of wasm-tools. The same tools give the same bytes.
set -eu
kit=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
wit-bindgen c --world full-agent --out-dir "$work" "$kit/caxton-agent.wit" >"$work/log" 2>&1
clang-14 --target=wasm32-wasi -std=c11 -O2 -I "$work" -c -o "$work/bindings.o" "$work/full_agent.c"
clang-14 --target=wasm32-wasi -mexec-model=reactor -std=c11 -O2 -Wall -Wextra -Werror -I "$work" \
  -Wl,--strip-all -Wl,-z,stack-size=32768 \
  -o "$work/core.wasm" "$1" "$work/bindings.o" "$work/full_agent_component_type.o"
jco new "$work/core.wasm" -o "$2" >"$work/log"
chmod 644 "$2"
