#!/bin/sh
# Builds an agent: build.sh [agent.c [agent.wasm]]
# Needs clang 14, lld 14, wasi-libc and the wasm32 runtime of clang. The same tools give the same bytes.
set -eu
kit=$(cd "$(dirname "$0")" && pwd)
clang-14 --target=wasm32-wasi -mexec-model=reactor -std=c11 -O2 -Wall -Wextra -Werror \
  -I "$kit" -Wl,--strip-all -Wl,-z,stack-size=32768 -o "${2:-agent.wasm}" "${1:-agent.c}"
chmod 644 "${2:-agent.wasm}"
