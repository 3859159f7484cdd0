#!/usr/bin/env bash
# Checks what we ship for the cluster: the manifests, their promises, the alert rules and runbooks.
#
#   tests/deploy/check.sh           all checks; ends with `N passed, N failed`
#   tests/deploy/check.sh --rules   prints the alert rules as a plain Prometheus rule file
#
# Needs no cluster and, after its first run, no network. Its tools live in .cache/deploy-tools;
# BULKHEAD_CACHE moves .cache.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
tools=${BULKHEAD_CACHE:-$root/.cache}/deploy-tools

# shellcheck source=tests/deploy/tools.sh
source "$here/tools.sh"
provide_tools "$tools" "$here/requirements.txt"

export PATH="$tools/bin:$PATH" PYTHONDONTWRITEBYTECODE=1
exec "$tools/venv/bin/python" "$here/check.py" "$root" "$@"
