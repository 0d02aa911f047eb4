#!/bin/sh
# Generates src/gen from proto/, or with a folder as argument the same tree inside that folder.
set -eu
cd "$(dirname "$0")/.."
PATH="$PWD/node_modules/.bin:$PATH"
export PATH
out="${1:-.}"
rm -rf "$out/src/gen"
buf generate --output "$out"
buf build --as-file-descriptor-set --exclude-source-info --output "$out/src/gen/descriptors.binpb"
