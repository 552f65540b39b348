#!/usr/bin/env bash
# test-programs.sh: makes sure that the programs which the tests drive are there. With --chromium it
# only prints the browser's path. Missing ones are installed by apt-get where we may; elsewhere it says what to install.
set -euo pipefail
cd "$(dirname "$0")/.."

find_chromium() {
  if [[ -n ${OMNI_CHROMIUM:-} ]]; then
    echo "$OMNI_CHROMIUM"
    return
  fi
  local name
  for name in chromium chromium-browser google-chrome google-chrome-stable \
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do
    if type -P "$name"; then return; fi
  done
  return 1
}

if [[ ${1:-} == --chromium ]]; then
  find_chromium
  exit
fi

missing=()
find_chromium >/dev/null || missing+=(chromium)
# Only once there is a Redis client to test.
if grep -q redis/go-redis go.mod; then
  type -P redis-server >/dev/null || missing+=(redis-server)
fi
# The race detector links C code.
type -P cc >/dev/null || missing+=(gcc libc6-dev)
if ((${#missing[@]} == 0)); then exit 0; fi

sudo=()
if [[ $(id -u) != 0 ]]; then sudo=(sudo -n); fi
if type -P apt-get >/dev/null && "${sudo[@]}" true 2>/dev/null; then
  echo "==> installing ${missing[*]}"
  "${sudo[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  exit 0
fi

cat >&2 <<END
The tests need programs that are not on this machine and that cannot be installed from here: ${missing[*]}
Install them with your system's package manager, then run this again.
OMNI_CHROMIUM=/path/to/chrome names a browser that is not on the PATH.
\`make test-go\` and \`make test-web\` need no browser.
END
exit 1
