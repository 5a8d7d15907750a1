#!/usr/bin/env bash
# Parses every source of the amd platform against the HIP and rocRAND headers of a ROCm that need not be complete or
# fit this machine: host sources with the host's compiler, kernels with clang, host pass and device passes.
#   tests/platform_amd/check_headers.sh ROOT [CLANG]     ROOT/include/hip/hip_runtime.h, e.g. /opt/rocm
# Debian's libamdhip64-dev and librocrand-dev of another release, unpacked with dpkg-deb, make such a ROOT.
# Exit codes: 0 all parse, 1 a source does not, 2 usage, 3 could not run.
set -euo pipefail
[ $# -ge 1 ] && [ $# -le 2 ] || { echo "usage: $0 ROOT [CLANG]" >&2; exit 2; }
root=$(realpath "$1")
clang="${2:-clang++-19}"
cd "$(dirname "$0")/../.."
for header in hip/hip_version.h rocrand/rocrand.h; do
  [ -e "$root/include/$header" ] || { echo "$0: $root/include/$header is missing" >&2; exit 3; }
done
command -v "$clang" >/dev/null || { echo "$0: no $clang" >&2; exit 3; }

number() { sed -n "s/^#define HIP_VERSION_$1 \+\([0-9]\+\).*/\1/p" "$root/include/hip/hip_version.h"; }
version="$(number MAJOR).$(number MINOR).$(number PATCH)"

# parse PASS FILE: PASS is cpp, hip-host, or an architecture.
parse() {
  local common=(-fsyntax-only -std=c++20 -I. -DHIPFORGE_PLATFORM_AMD=1 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)
  local kernel=("$clang" -x hip "${common[@]}" -nogpulib "--rocm-path=$root" "--hip-version=$version")
  case "$1" in
    cpp) "${CXX:-c++}" "${common[@]}" -Wno-unknown-pragmas -D__HIP_PLATFORM_AMD__=1 -DHIPFORGE_VERSION='""' \
      -DHIPFORGE_EMBEDDED_MODEL='""' -DHIPFORGE_INSTALLED_MODEL='""' -isystem "$root/include" \
      -isystem /usr/include/eigen3 "$2" ;;
    hip-host) "${kernel[@]}" --cuda-host-only "$2" ;;
    *) "${kernel[@]}" --cuda-device-only --offload-arch="$1" "$2" ;;
  esac || { echo "does not parse: $2 ($1)" >&2; exit 1; }
}
export -f parse
export root clang version

passes=$(
  git ls-files 'kernels/*.hip' 'harness/*.hip' 'tests/*.hip' | while read -r file; do
    for pass in hip-host gfx90a gfx1030 gfx1100; do echo "$pass $file"; done
  done
  git ls-files 'kernels/runtime/*.cpp' 'harness/*.cpp' 'bench/*.cpp' 'model_runner/*.cpp' 'tests/platform_amd/*.cpp' |
    sed 's/^/cpp /'
)
failed=0
xargs -P "$(nproc)" -L 1 bash -c 'parse "$@"' parse <<<"$passes" || failed=1
echo "HIP $version: $(wc -l <<<"$passes") passes over $(cut -d ' ' -f 2 <<<"$passes" | sort -u | wc -l) sources, $([ $failed = 0 ] && echo "all parse" || echo "not all parse")"
exit $failed
