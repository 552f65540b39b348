#!/usr/bin/env bash
# vuln.sh GOVULNCHECK: looks for known vulnerabilities in the Go code we reach and the npm packages we ship.
#
# Fails on a finding. Where a database cannot be reached, nothing is known either way: that is said in
# plain sight and passes, so that machines without internet can run the other checks, unless
# OMNI_VULN_REQUIRED=1 turns it into a failure.
set -uo pipefail
govulncheck=$1
failed=0
unknown=()
out=$(mktemp)
trap 'rm -f "$out"' EXIT

"$govulncheck" ./... >"$out" 2>&1
code=$?
cat "$out"
if ((code != 0)); then
  # 3 means found. Other codes are faults of the run; of these only a failed download is not ours.
  if ((code != 3)) && grep -q 'fetching vulnerabilities: Get ' "$out"; then
    unknown+=("Go modules: vuln.go.dev")
  else
    failed=1
  fi
fi

(cd web && npm audit --omit=dev) >"$out" 2>&1
code=$?
cat "$out"
if ((code != 0)); then
  if grep -q 'npm error audit endpoint returned an error\|npm error code E\(NOTFOUND\|CONNREFUSED\|TIMEDOUT\|AI_AGAIN\)\|audit request to .* failed' "$out"; then
    unknown+=("npm packages: the registry's audit service")
  else
    failed=1
  fi
fi

if ((${#unknown[@]} > 0)); then
  {
    echo
    echo "########################################################################"
    echo "# NOT CHECKED for known vulnerabilities: database could not be reached"
    printf '#   %s\n' "${unknown[@]}"
    echo "# Run \`make vuln\` on a machine with internet before a release."
    echo "########################################################################"
  } >&2
  if [[ ${OMNI_VULN_REQUIRED:-} == 1 ]]; then failed=1; fi
fi
exit "$failed"
