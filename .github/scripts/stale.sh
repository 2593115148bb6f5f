#!/usr/bin/env bash
# Is dvc.lock that of the code, the parameters and the inputs beside it? Needs no data: `stale.sh`
# Exits 1 where it is not, naming the stages that would run first and every input that is not as recorded, and where
# an output that belongs into Git is not there.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PWD/.venv/bin:$PATH"
dvc=(dvc)  # another one where a file that DVC tracks is absent
while read -r tracked; do
  [ -e "${tracked%.dvc}" ] || dvc=(python .github/scripts/dvc_without_data.py)
done < <(git ls-files -- '*.dvc')

# A stage whose inputs are all here "would run", and DVC calls that success; one whose inputs are absent fails.
failed=
plan=$("${dvc[@]}" repro --dry --allow-missing --keep-going 2>&1) || failed=yes
stages=$(grep -E "^(Running stage|ERROR: failed to reproduce)" <<< "$plan" | grep -o "'[^']*'" | tr "'" '`' || true)
if [ -n "$failed" ] && [ -z "$stages" ]; then
  printf '%s\n' "**dvc.lock could not be checked:**" "" "\`\`\`" "$plan" "\`\`\`"
  exit 1
fi
status=$("${dvc[@]}" status --no-updates)

if [ -n "$stages" ]; then
  # Data that is merely absent is no change; a heading stays only with what is under it.
  changes=$(awk '
    /^[^\t]/ { stage = $0; heading = ""; next }
    /^\tchanged (deps|outs):$/ { heading = $0; next }
    /^\t[^\t]/ { heading = "" }
    /^\t\t*(deleted|not in cache):/ { next }
    { if (stage != "") print stage; if (heading != "") print heading; stage = heading = ""; print }' <<< "$status")
  echo "**dvc.lock is stale:** ${stages//$'\n'/, } and what follows would run again."
  echo
  if [ -n "$changes" ]; then
    printf '%s\n' "\`\`\`" "$changes" "\`\`\`"
  else
    echo "No file changed: dvc.lock has one hash for a stage's output and another for the same file as an input, as it"
    echo "may after a merge."
  fi
  echo
  echo "Run \`make repro\` and commit dvc.lock, metrics/ and reports/ with it. If the change cannot alter results"
  echo "(a comment, a name), \`dvc commit -f\` where the data is, and commit dvc.lock."
  exit 1
fi

# What Git does not ignore among the absent outputs belongs into Git. check-ignore exits 1 where it ignores none.
forgotten=$(awk '/^\tchanged/ { outs = /outs/ } outs && sub(/^\t\tdeleted: */, "")' <<< "$status" \
  | { git check-ignore --verbose --non-matching --stdin || [ $? = 1 ]; } | awk -F '\t' '$1 == "::" { print "`" $2 "`" }')
if [ -n "$forgotten" ]; then
  echo "**Outputs are missing from Git:** ${forgotten//$'\n'/, }. Commit what the run wrote: \`git add metrics reports\`."
  exit 1
fi
echo "dvc.lock is current."
