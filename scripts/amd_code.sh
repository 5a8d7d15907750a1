# AMD code objects, built on a machine that need not have a GPU or AMD's software. Sourced after setup.sh.
#
# The compiler is Debian's clang 19 with lld, HIP's headers are Debian's. Debian 12's own device libraries stop before
# gfx942 and gfx1100, so those of Debian 13 are fetched through an apt state of their own and unpacked into the build
# folder; the system's apt sees nothing of it. Another distribution brings its own.

amd_code_dir=build/amd-code
amd_code_needed_archs=(gfx90a gfx942 gfx1030 gfx1100)  # built always
amd_code_wanted_archs=(gfx1201)                        # built where the device libraries know them
amd_code_llvm=19

device_package=rocm-device-libs-17
device_version=6.0+git20231212.5a852ed-2
device_sha256=fa10f0f5be5269c715492e4e3d3816f956a4d8b9098443d54052d351cfda9213

# Why the code objects cannot be built here; empty where they can.
amd_code_reason=""

# emulator_name CHECKOUT: which emulator a checkout of tinygrad has. A bare copy has no commit, and may stand within a
# repository that is not its own.
emulator_name() {
  local commit
  if [ -e "$1/.git" ] && commit=$(git -C "$1" describe --always --dirty --exclude='*' 2>/dev/null); then
    echo "tinygrad $commit"
  else
    echo "tinygrad, emu.py $(sha256sum "$1/test/mockgpu/amd/emu.py" 2>/dev/null | cut -c 1-16)"
  fi
}

# device_libraries_know FOLDER ARCH
device_libraries_know() { [ -f "$1/ocml.bc" ] && [ -f "$1/oclc_isa_version_${2#gfx}.bc" ]; }

# Sets device_libraries and device_libraries_name to a folder of this system that knows every needed architecture.
find_device_libraries() {
  local folder arch
  for folder in /opt/rocm/amdgcn/bitcode /usr/lib/llvm-*/lib/clang/*/amdgcn/bitcode /usr/lib/clang/*/amdgcn/bitcode \
      /usr/lib/*/amdgcn/bitcode /usr/amdgcn/bitcode; do
    for arch in "${amd_code_needed_archs[@]}"; do
      device_libraries_know "$folder" "$arch" || continue 2
    done
    device_libraries="$folder"
    device_libraries_name=$(dpkg-query -S "$folder/ocml.bc" 2>/dev/null | cut -d : -f 1 || true)
    [ -z "$device_libraries_name" ] ||
      device_libraries_name=$(dpkg-query -W -f='${Package} ${Version}' "$device_libraries_name")
    [ -n "$device_libraries_name" ] || device_libraries_name="$folder"
    return 0
  done
  return 1
}

# Unpacks Debian 13's device libraries into $1: signed by Debian's keyring, and the very file that was tried.
fetch_device_libraries() {
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg apt file
  [ -r "$keyring" ] || { amd_code_reason="Debian's keyring $keyring is missing"; return 1; }
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
    { amd_code_reason="apt-get and dpkg-deb are missing"; return 1; }
  apt=$(mktemp -d)
  mkdir -p "$apt/etc" "$apt/lists/partial" "$apt/cache/archives/partial"
  cat >"$apt/etc/debian13.sources" <<EOF
Types: deb
URIs: http://deb.debian.org/debian
Suites: trixie
Components: main
Architectures: amd64
Signed-By: $keyring
EOF
  # Read last: the system's own settings (a proxy, say) hold, except for where things are and what runs afterwards.
  cat >"$apt/apt.conf" <<EOF
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
Dir::Etc::SourceList "/dev/null";
Dir::Etc::SourceParts "$apt/etc";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State::Lists "$apt/lists";
Dir::Cache "$apt/cache";
Acquire::Retries "3";
Acquire::Languages "none";
APT::Sandbox::User "root";
EOF
  if ! (cd "$apt" && apt-get -c "$apt/apt.conf" -o Acquire::http::Timeout=30 update &&
      apt-get -c "$apt/apt.conf" download "$device_package:amd64=$device_version") >"$apt/log" 2>&1; then
    amd_code_reason="$device_package $device_version could not be fetched: $(grep -E '^(Err|W: Failed|E:)' "$apt/log" | head -n 1)"
    rm -rf "$apt"
    return 1
  fi
  file=("$apt"/*.deb)
  if ! echo "$device_sha256  ${file[0]}" | sha256sum --check --status; then
    rm -rf "$apt"
    die 3 "$device_package $device_version has not the checksum $device_sha256"
  fi
  # In place only when whole.
  rm -rf "$1.part"
  dpkg-deb --extract "${file[0]}" "$1.part" && mv "$1.part" "$1"
  rm -rf "$apt"
}

# Finds or obtains compiler, headers and device libraries; sets amd_code_clang, device_libraries and
# device_libraries_name. Fails with amd_code_reason where something cannot be had.
amd_code_toolchain() {
  local name log missing=() unpacked
  log=$(mktemp)
  # In a subshell: what cannot be installed is a skip here, not the end of the run.
  (install_packages "clang-$amd_code_llvm" "lld-$amd_code_llvm" "llvm-$amd_code_llvm" libamdhip64-dev librocrand-dev) \
    >"$log" 2>&1 || amd_code_reason=$(tail -n 1 "$log")
  cat "$log" >&2
  rm -f "$log"
  [ -z "$amd_code_reason" ] || return 1
  amd_code_clang="/usr/lib/llvm-$amd_code_llvm/bin/clang++"
  for name in "$amd_code_clang" "/usr/lib/llvm-$amd_code_llvm/bin/ld.lld" \
      "/usr/lib/llvm-$amd_code_llvm/bin/llvm-objdump" /usr/include/hip/hip_runtime.h /usr/include/rocrand/rocrand.h; do
    [ -e "$name" ] || missing+=("$name")
  done
  [ ${#missing[@]} -eq 0 ] || { amd_code_reason="missing: ${missing[*]}"; return 1; }

  if [ "$(. /etc/os-release && echo "$ID $VERSION_ID")" != "debian 12" ]; then
    find_device_libraries && return 0
    if command -v apt-cache >/dev/null && apt-cache show "$device_package" >/dev/null 2>&1; then
      (install_packages "$device_package") >&2 || true
      find_device_libraries && return 0
    fi
    amd_code_reason="no device libraries here know ${amd_code_needed_archs[*]}"
    return 1
  fi
  unpacked="$PWD/$amd_code_dir/toolchain/${device_package}_$device_version"
  device_libraries="$unpacked/usr/lib/llvm-17/lib/clang/17/amdgcn/bitcode"
  device_libraries_name="$device_package $device_version"
  [ ! -d "$device_libraries" ] || return 0
  if [ "${HIPFORGE_OFFLINE:-0}" = 1 ]; then
    amd_code_reason="offline, and $device_libraries_name is not in $amd_code_dir"
    return 1
  fi
  mkdir -p "$(dirname "$unpacked")"
  fetch_device_libraries "$unpacked"
}

# Builds every code object that is not up to date. amd_code_toolchain comes first.
build_amd_code() {
  local archs=("${amd_code_needed_archs[@]}") arch log="$amd_code_dir/build.log"
  for arch in "${amd_code_wanted_archs[@]}"; do
    if device_libraries_know "$device_libraries" "$arch"; then
      archs+=("$arch")
    else
      echo "$arch is not built: $device_libraries_name does not know it" >&2
    fi
  done
  echo "building amd-code for ${archs[*]} (log: $log)" >&2
  if ! { cmake -S cmake/amd_code -B "$amd_code_dir" -G Ninja -DHIPFORGE_AMD_CLANG="$amd_code_clang" \
      -DHIPFORGE_AMD_DEVICE_LIBRARIES="$device_libraries" -DHIPFORGE_AMD_ARCHS="$(IFS=";"; echo "${archs[*]}")" &&
      cmake --build "$amd_code_dir" --parallel "$(nproc)"; } >"$log" 2>&1; then
    grep -E 'error|Error|FAILED' "$log" | head -n 20 >&2
    die 3 "the AMD code objects do not build; the whole log is in $log"
  fi
  # What made them, for whoever compares their figures.
  printf '{"compiler": "%s", "device_libraries": "%s", "objdump": "%s"}\n' \
    "$("$amd_code_clang" --version | head -n 1)" "$device_libraries_name" \
    "/usr/lib/llvm-$amd_code_llvm/bin/llvm-objdump" >"$amd_code_dir/toolchain.json"
}
