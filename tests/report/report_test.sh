#!/usr/bin/env bash
# report_test.mjs where there is a Node.js; exit 3, a skip, where there is none.
#   report_test.sh HIPFORGE SOURCE_DIR [--pictures DIR]
set -euo pipefail
command -v node >/dev/null || {
  echo "skipped: no Node.js"
  exit 3
}
exec node "$(dirname "$0")/report_test.mjs" "$@"
