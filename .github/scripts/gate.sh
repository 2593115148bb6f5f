#!/usr/bin/env bash
# The gate of params.yaml on the committed metrics/verdict.json: `gate.sh`; exits as the stage does.
# `make gate` is the same in the whole environment; here the few packages that the stage imports suffice.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PWD/.venv/bin:$PATH"
exec python -m stages.gate --verdict metrics/verdict.json
