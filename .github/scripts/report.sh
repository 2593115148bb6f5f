#!/usr/bin/env bash
# What HEAD changes against a base, as Markdown: `report.sh main > report.md`
# Compares commits; needs no data, for parameters, metrics and reports are in Git.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PWD/.venv/bin:$PATH"
if [ $# -ne 1 ] || ! git rev-parse --quiet --verify "$1^{commit}" > /dev/null; then
  echo "error: report.sh: expected one argument, a commit to compare with, got '$*'; fetch it first" >&2
  exit 2
fi
base=$1

# section TITLE COMMAND...: the table a command prints; DVC prints one without rows where nothing changed.
section() {
  printf '\n## %s\n\n' "$1"
  local table
  table=$("${@:2}" 2>&1) || { printf '%s\n' "$table" >&2; return 1; }
  if [[ $(tail -n 1 <<< "$table") =~ ^[|-]*$ ]]; then echo "Nothing changed."; else printf '%s\n' "$table"; fi
}

head=$(git rev-parse --short HEAD)
if git rev-parse --quiet --verify HEAD^2 > /dev/null && [ "$(git rev-parse HEAD^1)" = "$(git rev-parse "$base^{commit}")" ]
then
  head="$(git rev-parse --short HEAD^2) merged into it"
fi
echo -n "\`$base\` is $(git rev-parse --short "$base^{commit}"), \`HEAD\` is $head. "
.github/scripts/stale.sh | sed -n 1p || true  # for information; a check of its own fails and says more

echo
# A picture's relative address leads nowhere from a comment.
git show HEAD:./reports/compare.md | sed '/^!\[.*)$/d'
section "Metrics" dvc metrics diff "$base" HEAD --md
section "Scores by model" dvc metrics diff "$base" HEAD --md -R --targets metrics/by_model
section "Parameters" dvc params diff "$base" HEAD --md
