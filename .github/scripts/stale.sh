#!/usr/bin/env bash
# Is dvc.lock that of the code, the parameters and the inputs beside it? Needs no data: `stale.sh`
# Exits 1 and names the stages that are not as recorded. What only follows from one of them is not named.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PWD/.venv/bin:$PATH"

failed=
plan=$(dvc repro --dry --allow-missing --keep-going 2>&1) || failed=yes
# A stage whose inputs are in Git would run, and DVC calls that success; one whose inputs are absent fails.
stages=$(sed -n -e "s/^Running stage '\(.*\)':$/\1/p" <<< "$plan"
  { grep '^ERROR: failed to reproduce' <<< "$plan" || true; } | { grep -o "'[^']*'" || true; } | tr -d "'")

if [ -n "$stages" ]; then
  mapfile -t names <<< "$stages"
  echo "**dvc.lock is stale:** these stages and what follows from them would run again."
  printf '\n```\n'
  # Data that is merely absent is no change; a heading stays only with what is under it.
  dvc status --no-updates "${names[@]}" | awk '
    /^\tchanged (deps|outs):$/ { heading = $0; next }
    /^\t?[^\t]/ { heading = ""; print; next }
    /^\t\t*(deleted|not in cache):/ { next }
    { if (heading != "") print heading; heading = ""; print }'
  printf '```\n\n'
  echo "Run \`make repro\` and commit dvc.lock, metrics/ and reports/ with it. If the change cannot alter results"
  echo "(a comment, a name), \`dvc commit -f\` where the data is, and commit dvc.lock."
  exit 1
elif [ -n "$failed" ]; then
  printf '**dvc.lock could not be checked:**\n\n```\n%s\n```\n' "$plan"
  exit 1
fi
echo "dvc.lock is current."
