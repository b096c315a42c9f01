#!/bin/sh
# Makes a machine without a network what this bundle says, by the program that lies in it:
#
#   tar --force-local -xOf BUNDLE install | sh -s BUNDLE
#
# What comes behind BUNDLE is given to `actord bundle apply`.
set -eu

bundle=${1:?"the bundle's own file: tar --force-local -xOf BUNDLE install | sh -s BUNDLE"}
shift
[ "$(id -u)" = 0 ] || { echo "install: not root: tar --force-local -xOf $bundle install | sudo sh -s $bundle" >&2; exit 1; }
work=$(mktemp -d "${TMPDIR:-/var/tmp}/actord-install-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
tar --force-local -xOf "$bundle" actord >"$work/actord"
chmod 700 "$work/actord"
"$work/actord" bundle apply "$bundle" "$@" </dev/null
