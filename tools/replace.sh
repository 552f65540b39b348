#!/usr/bin/env bash
# replace.sh FILE COMMAND...: writes what COMMAND prints to FILE, unless FILE says so already.
# An unchanged file keeps its time, so nothing is built again for it; a command that fails leaves it as it was.
set -euo pipefail
file=$1
shift
new=$(mktemp "$file.XXXXXX")
trap 'rm -f "$new"' EXIT
"$@" >"$new"
if ! cmp -s "$new" "$file"; then
  chmod 644 "$new"
  mv "$new" "$file"
  echo "wrote $file"
fi
