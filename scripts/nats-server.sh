#!/bin/sh
# Prints the path of a nats-server that is new enough, fetching one into .cache/ when the machine has none.
# Needs no root and installs nothing outside this folder. What it does goes to standard error.
# Ways, in order: CAXTON_NATS_SERVER; PATH; .cache/; the distribution's package; the Go module.
# Two runs at once are safe where flock(1) exists: the second waits and finds the work done.
set -eu
cd "$(dirname "$0")/.."

wanted_major=2
wanted_minor=12
go_module=github.com/nats-io/nats-server/v2@v2.15.3
cache=$PWD/.cache/nats-server

say() {
  printf 'nats-server: %s\n' "$1" >&2
}

# Prints the version of a nats-server, nothing when the file is none.
version_of() {
  "$1" --version 2>/dev/null | sed -n 's/^nats-server: v\([0-9][0-9a-zA-Z.-]*\).*/\1/p'
}

is_enough() {
  major=${1%%.*}
  rest=${1#*.}
  minor=${rest%%.*}
  case "$major$minor" in '' | *[!0-9]*) return 1 ;; esac
  [ "$major" -gt $wanted_major ] || { [ "$major" -eq $wanted_major ] && [ "$minor" -ge $wanted_minor ]; }
}

# Why each way was no help; shown when all of them were.
reasons=''
no_help() {
  say "$1"
  reasons="$reasons
  - $1"
}

find_given() {
  [ -n "${CAXTON_NATS_SERVER:-}" ] || return 1
  version=$(version_of "$CAXTON_NATS_SERVER")
  if is_enough "$version"; then
    echo "$CAXTON_NATS_SERVER"
    return
  fi
  say "CAXTON_NATS_SERVER is $CAXTON_NATS_SERVER: ${version:-no nats-server}; $wanted_major.$wanted_minor or newer is needed."
  say "Point it to one, or unset it and one is looked for."
  exit 1
}

find_on_path() {
  found=$(command -v nats-server 2>/dev/null) || return 1
  version=$(version_of "$found")
  if is_enough "$version"; then
    echo "$found"
    return
  fi
  say "$found is ${version:-no nats-server}; $wanted_major.$wanted_minor or newer is needed"
  return 1
}

find_cached() {
  for candidate in "$cache"/*/nats-server; do
    [ -x "$candidate" ] || continue
    is_enough "$(version_of "$candidate")" || continue
    echo "$candidate"
    return
  done
  return 1
}

# Moves a fetched nats-server to its place; a half one is never there.
keep() {
  version=$(version_of "$1")
  if ! is_enough "$version"; then
    no_help "$2 gave ${version:-a file that does not run here}; $wanted_major.$wanted_minor or newer is needed"
    return 1
  fi
  mkdir -p "$cache/$version"
  mv "$1" "$cache/$version/nats-server"
  say "$version from $2 is in $cache/$version"
}

# The machine's own package sources of its release, for the release that is given. Standard output: deb822.
sources_for() {
  for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -r "$list" ] || continue
    sed -n "s/^\(deb .*[[:space:]]\)$codename\([[:space:]].*\)$/\1$1\2/p" "$list" >>"$work/sources/own.list"
  done
  for list in /etc/apt/sources.list.d/*.sources; do
    [ -r "$list" ] || continue
    awk -v suite="$codename" -v other="$1" '
      BEGIN { RS = ""; FS = "\n" }
      ("\n" $0) ~ "\nSuites:([^\n]* )?" suite "( |\n|$)" {
        for (i = 1; i <= NF; i++) print ($i ~ /^Suites:/ ? "Suites: " other : $i)
        print ""
      }' "$list" >>"$work/sources/own.sources"
  done
}

apt_here() {
  tool=$1
  shift
  "$tool" -q=2 -o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$work/sources" \
    -o "Dir::State=$work/state" -o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache" \
    -o Acquire::Languages=none -o Acquire::Retries=2 -o APT::Sandbox::User=root "$@" >&2
}

unpack_package() {
  if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-deb >/dev/null 2>&1; then
    no_help "no apt-get and dpkg-deb here, so no package of the distribution"
    return 1
  fi
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  distribution=$(. /etc/os-release && echo "${ID:-}")
  releases=$codename
  # A release keeps the version it came out with; Debian's newest runs on the one before.
  [ "$distribution" = debian ] && releases="$codename sid"
  for release in $releases; do
    say "looking for a package of $distribution $release"
    rm -rf "$work/sources" "$work/lists"
    mkdir -p "$work/sources" "$work/lists/partial" "$work/state" "$work/cache/archives/partial" "$work/deb"
    sources_for "$release"
    if ! apt_here apt-get update; then
      no_help "the package lists of $distribution $release can't be read"
      continue
    fi
    if ! (cd "$work/deb" && apt_here apt-get download nats-server); then
      no_help "$distribution $release has no package nats-server, or it can't be downloaded"
      continue
    fi
    mkdir -p "$work/root"
    for package in "$work"/deb/*.deb; do
      dpkg-deb -x "$package" "$work/root"
    done
    rm -rf "$work/deb"
    program=$(find "$work/root" -name nats-server -type f -path '*bin/*' | head -n 1)
    [ -n "$program" ] && keep "$program" "the package of $distribution $release" && return
    rm -rf "$work/root"
  done
  return 1
}

build_module() {
  if ! command -v go >/dev/null 2>&1; then
    no_help "no go here to build one with"
    return 1
  fi
  say "building $go_module with $(go version)"
  # Outside a module of somebody's.
  if ! (cd "$work" && GOBIN="$work/bin" CGO_ENABLED=0 go install "$go_module" >&2); then
    no_help "go install $go_module failed"
    return 1
  fi
  # A folder of its own keeps the name the module gives the program out of this.
  set -- "$work"/bin/*
  keep "$1" "go install"
}

find_given && exit
find_on_path && exit
find_cached && exit

mkdir -p .cache
if command -v flock >/dev/null 2>&1; then
  exec 9>.cache/nats-server.lock
  flock -n 9 || { say "another run is fetching one, waiting for it" && flock 9; }
  find_cached && exit
fi
work=$(mktemp -d "$PWD/.cache/nats-server-fetch.XXXXXX")
trap 'chmod -R u+w "$work" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
if unpack_package || build_module; then
  find_cached && exit
fi
say "there is no nats-server of $wanted_major.$wanted_minor or newer, and none can be fetched:$reasons"
say "Ways to mend it: install nats-server $wanted_major.$wanted_minor or newer and put it on PATH, or set CAXTON_NATS_SERVER"
say "to the path of one, or install Go, or make the network to the package sources work."
exit 1
