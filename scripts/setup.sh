# Shared by run.sh and test.sh: which platform, which packages, how to build. Sourced, not run.

# For a machine without a network:
#   HIPFORGE_DEPS=DIR    a root of unpacked .deb packages, searched beside the system's own
#   HIPFORGE_OFFLINE=1   install nothing; say what is missing and go on

# Prints the packages that $platform needs.
needed_packages() {
  local packages=(g++ cmake ninja-build libeigen3-dev libfmt-dev nlohmann-json3-dev libcli11-dev libpcre2-dev
    librocrand-dev libgtest-dev libbenchmark-dev librapidcheck-dev)
  [ "$platform" != cpu ] || packages+=(libtbb-dev libboost-context-dev)
  # AMD's own ROCm brings compiler, runtime and rocRAND; without it they are the distribution's.
  [ "$platform" != amd ] || has_rocm || packages+=(hipcc libamdhip64-dev)
  echo "${packages[@]}"
}

die() {  # die CODE MESSAGE
  echo "$(basename "$0"): $2" >&2
  exit "$1"
}

# What a measured number depends on: of scripts/ how it is built and what AMD's code objects are built with.
hashed_sources=(CMakeLists.txt CMakePresets.json cmake scripts/setup.sh scripts/amd_code.sh kernels reference harness
  bench model_runner)

# The hash of those sources: names and contents, so that a checkout and a bare copy of the tree agree. What a build or a
# tool leaves among them is not looked at.
source_hash() {
  find "${hashed_sources[@]}" \
    \( -name build -o -name .cache -o -name __pycache__ -o -name node_modules \) -prune -o -type f -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-16
}

# Prints the newest of the result files of benches in folder $1, one a commit; nothing where there is none.
latest_bench() {
  local file
  for file in "$1"/*.json; do
    [ -e "$file" ] || continue
    sed -nE "s|^ *\"recorded\": \"([0-9TZ:-]+)\".*|\1 $file|p" "$file" | head -n 1
  done | LC_ALL=C sort | tail -n 1 | cut -d ' ' -f 2-
}

# Names the files under results/ that other sources made. Benches of earlier commits are history, not stale.
list_stale_results() {
  local now file
  now=$(source_hash)
  for file in results/*/*.json; do
    [ -e "$file" ] || continue
    # A baseline: every check compares with it.
    [ "${file##*/}" != accuracy.json ] || continue
    if grep -q '^ *"recorded": ' "$file" && [ "$file" != "$(latest_bench "$(dirname "$file")")" ]; then continue; fi
    grep -q "\"sources\": \"$now\"" "$file" || echo "stale: $file was made by other sources (bench/record.sh makes it anew)"
  done
}

# AMD's own ROCm, under ROCM_PATH or /opt/rocm.
has_rocm() { [ -e "${ROCM_PATH:-/opt/rocm}/include/hip/hip_runtime.h" ]; }

# Sets `platform`. $1: what was asked for, or empty: nvidia where its GPU and its compiler are there, amd where its GPU
# is, else cpu. An AMD GPU is known by /dev/kfd: hipcc proves nothing, rocRAND's packages bring it along.
choose_platform() {
  case "$1" in
    cpu|nvidia|amd) platform="$1" ;;
    "")
      platform=cpu
      if [ -e /dev/nvidia0 ] && find_nvcc; then
        platform=nvidia
      elif [ -e /dev/kfd ]; then
        platform=amd
      elif [ -e /dev/nvidia0 ]; then
        echo "found an NVIDIA GPU (/dev/nvidia0) but no nvcc: using the cpu platform" >&2
      fi ;;
    *) die 2 "platform $1 is not known, supported: cpu, nvidia, amd" ;;
  esac
  if [ "$platform" = nvidia ]; then
    find_nvcc || die 3 "platform nvidia needs CUDA 12 or newer: no nvcc on the PATH or in /usr/local/cuda/bin"
  fi
}

# Sets CUDACXX where nvcc is found.
find_nvcc() {
  local candidate
  for candidate in "${CUDACXX:-}" "$(command -v nvcc || true)" /usr/local/cuda/bin/nvcc; do
    if [ -n "$candidate" ] && [ -x "$candidate" ]; then
      export CUDACXX="$candidate"
      return 0
    fi
  done
  return 1
}

has_package() {
  [ -n "${HIPFORGE_DEPS:-}" ] && [ -d "$HIPFORGE_DEPS/usr/share/doc/$1" ] && return 0
  dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'
}

# install_packages NAME...: installs what is missing and says so; nothing where nothing is.
install_packages() {
  local missing=() name
  for name in "$@"; do
    has_package "$name" || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if [ "${HIPFORGE_OFFLINE:-0}" = 1 ]; then
    echo "offline, not installed: ${missing[*]}" >&2
    return 0
  fi
  command -v apt-get >/dev/null || die 3 "this is no Debian or Ubuntu: install the equivalents of: ${missing[*]}"
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
      as_root=(sudo -n)
    else
      die 3 "packages are missing; install them with: apt-get install ${missing[*]}"
    fi
  fi
  echo "installing: ${missing[*]}" >&2
  local log
  log=$(mktemp)
  if ! { "${as_root[@]}" apt-get update && "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    die 3 "could not install: ${missing[*]} (log: $log)"
  fi
  rm -f "$log"
}

# build PRESET [TARGET...]: configures where needed and builds, quietly unless it fails.
build() {
  local preset="$1" log
  shift
  log="build/$preset/build.log"
  mkdir -p "build/$preset"
  echo "building $preset (log: $log)" >&2
  if ! { cmake --preset "$preset" ${HIPFORGE_DEPS:+"-DCMAKE_PREFIX_PATH=$HIPFORGE_DEPS/usr"} && cmake --build "build/$preset" --parallel "$(nproc)" \
      ${1:+--target "$@"}; } >"$log" 2>&1; then
    grep -E 'error|Error|FAILED' "$log" | head -n 20 >&2
    die 3 "the build failed; the whole log is in $log"
  fi
}
