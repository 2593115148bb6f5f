#!/usr/bin/env bash
# Put a report under a pull request, in the place of the last one: `comment.sh NUMBER REPORT RUN_URL`
# Needs gh and GH_TOKEN.
set -euo pipefail
number=$1 report=$2 run_url=$3
limit=60000  # bytes; GitHub takes 65,536 characters
body=$(mktemp)
trap 'rm -f "$body"' EXIT

printf 'Plots, and this report as the summary: [run](%s).\n\n' "$run_url" > "$body"
if [ "$(wc -c < "$report")" -le "$limit" ]; then
  cat "$report" >> "$body"
else
  printf '> Too long for a comment, so it ends early; the summary of the run has all of it.\n\n' >> "$body"
  head -c "$limit" "$report" | sed '$d' >> "$body"
fi
gh pr comment "$number" --edit-last --create-if-none --body-file "$body"
