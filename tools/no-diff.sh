#!/usr/bin/env bash
# no-diff.sh COMMAND...: runs COMMAND and fails if it changed, added or removed any file that git would keep.
# Compares before and after rather than with the last commit, so that it works on uncommitted work too.
set -euo pipefail
snapshot() {
  git ls-files -z --cached --others --exclude-standard |
    while IFS= read -r -d '' file; do
      if [[ -f $file ]]; then sha256sum "$file"; fi
    done | sort -k2
}
before=$(snapshot)
"$@"
if changed=$(diff <(echo "$before") <(snapshot)); then
  exit 0
fi
echo "These files were not up to date; they are now. Look at them and commit them:" >&2
sed -nE 's/^[<>] [0-9a-f]{64} [ *]/  /p' <<<"$changed" | sort -u >&2
git --no-pager diff --stat >&2
exit 1
