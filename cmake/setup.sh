# Shared by run.sh and test.sh: which platform, which packages, how to build. Sourced, not run.

hipforge_packages=(g++ cmake ninja-build libtbb-dev libboost-context-dev libeigen3-dev libfmt-dev
  nlohmann-json3-dev libcli11-dev libpcre2-dev librocrand-dev libgtest-dev libbenchmark-dev)

die() {  # die CODE MESSAGE
  echo "$(basename "$0"): $2" >&2
  exit "$1"
}

# Sets `platform`. $1: what was asked for, or empty.
choose_platform() {
  local found=""
  if [ -e /dev/kfd ]; then
    found="an AMD GPU (/dev/kfd)"
  elif [ -e /dev/nvidia0 ]; then
    found="an NVIDIA GPU (/dev/nvidia0)"
  fi
  case "$1" in
    ""|cpu) platform=cpu ;;
    nvidia|amd) die 2 "platform $1 is not there yet, supported: cpu" ;;
    *) die 2 "platform $1 is not known, supported: cpu" ;;
  esac
  if [ -n "$found" ] && [ -z "$1" ]; then
    echo "found $found; hipforge runs on the cpu platform for now" >&2
  fi
}

# install_packages NAME...: installs what is missing and says so; nothing where nothing is.
install_packages() {
  command -v dpkg-query >/dev/null || die 3 "this is no Debian or Ubuntu: install the equivalents of: $*"
  local missing=() name
  for name in "$@"; do
    dpkg-query -W -f='${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
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
  if ! { cmake --preset "$preset" && cmake --build "build/$preset" --parallel "$(nproc)" \
      ${1:+--target "$@"}; } >"$log" 2>&1; then
    grep -E 'error|Error|FAILED' "$log" | head -n 20 >&2
    die 3 "the build failed; the whole log is in $log"
  fi
}
