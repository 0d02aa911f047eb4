#!/bin/sh
# Fails when the proto files break the lint rules or src/gen is not what they generate.
set -eu
cd "$(dirname "$0")/.."
scratch="$(mktemp -d)"
trap 'rm -rf "$scratch"' EXIT
PATH="$PWD/node_modules/.bin:$PATH" buf lint
scripts/generate.sh "$scratch"
diff -r src/gen "$scratch/src/gen" || {
  echo "src/gen differs from proto/: run scripts/generate.sh and commit the result" >&2
  exit 1
}
