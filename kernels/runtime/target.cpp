#include "kernels/runtime/target.h"

#include "kernels/runtime/check.h"

#include <algorithm>

#if defined(HIPFORGE_PLATFORM_CPU)
#include <hipforge_cpu.h>
#endif

namespace hipforge {
namespace {

struct KnownTarget {
  const char* architecture;
  int wave;
  MatrixUnit matrix_unit;
  std::size_t shared_kib;  // of a block
};

// Shared memory: AMD's instruction set guides; CUDA C++ Programming Guide, "Technical Specifications per
// Compute Capability".
constexpr KnownTarget kKnownTargets[] = {
    {"gfx90a", 64, MatrixUnit::kMfma, 64},  {"gfx942", 64, MatrixUnit::kMfma, 64},
    {"gfx1030", 32, MatrixUnit::kNone, 64}, {"gfx1100", 32, MatrixUnit::kWmma, 64},
    {"gfx1201", 32, MatrixUnit::kWmma, 64}, {"sm_80", 32, MatrixUnit::kMma, 163},
    {"sm_90", 32, MatrixUnit::kWgmma, 227},
};

thread_local const TargetScope* innermost_scope = nullptr;

#if !defined(HIPFORGE_PLATFORM_CPU)
// What an architecture that the table lacks has.
MatrixUnit matrix_unit_of_family(const std::string& architecture) {
  if (architecture.starts_with("sm_")) return MatrixUnit::kMma;
  if (architecture.starts_with("gfx11") || architecture.starts_with("gfx12")) return MatrixUnit::kWmma;
  return MatrixUnit::kNone;
}

// The architecture name without feature suffixes: "gfx90a:sramecc+:xnack-" is gfx90a. HIP's own headers leave
// it empty on NVIDIA.
std::string base_architecture(const hipDeviceProp_t& properties) {
  std::string name(properties.gcnArchName);
  if (const auto colon = name.find(':'); colon != std::string::npos) name.resize(colon);
  if (name.empty()) name = detail::concat("sm_", properties.major, properties.minor);
  return name;
}
#endif

}  // namespace

Status device_target(Target& target) {
  int device = 0;
  HIPFORGE_HIP_TRY(hipGetDevice(&device));
#if defined(HIPFORGE_PLATFORM_CPU)
  target = Target{"cpu", hipforge_cpu_wave(), MatrixUnit::kNone};
  return {};
#else
  thread_local int cached_device = -1;
  thread_local Target cached;
  if (device != cached_device) {
    hipDeviceProp_t properties{};
    HIPFORGE_HIP_TRY(hipGetDeviceProperties(&properties, device));
    const std::string architecture = base_architecture(properties);
    Target found{architecture, properties.warpSize, matrix_unit_of_family(architecture),
                 properties.sharedMemPerBlock};
    for (const KnownTarget& known : kKnownTargets) {
      if (found.architecture != known.architecture) continue;
      found.matrix_unit = known.matrix_unit;
      // Some runtimes tell what a block gets unasked, not what it may ask for.
      found.shared_bytes = std::max(found.shared_bytes, std::size_t{known.shared_kib} << 10);
    }
    cached = found;
    cached_device = device;
  }
  target = cached;
  return {};
#endif
}

std::vector<std::string> known_targets() {
  std::vector<std::string> names{"cpu"};
  for (const KnownTarget& known : kKnownTargets) names.emplace_back(known.architecture);
  return names;
}

Status target_from_name(const std::string& name, int cpu_wave, Target& target) {
  if (name == "cpu") {
    if (cpu_wave != 32 && cpu_wave != 64) {
      return invalid_argument("target cpu: wave is ", cpu_wave, ", needs 32 or 64");
    }
    target = Target{"cpu", cpu_wave, MatrixUnit::kNone};
    return {};
  }
  for (const KnownTarget& known : kKnownTargets) {
    if (name != known.architecture) continue;
    target = Target{known.architecture, known.wave, known.matrix_unit, known.shared_kib << 10};
    return {};
  }
  std::string names;
  for (const std::string& known : known_targets()) names += (names.empty() ? "" : ", ") + known;
  return unsupported("target ", name, " is not known, supported: ", names);
}

TargetScope::TargetScope(const Target& target) : target_(target), outer_(innermost_scope) {
  if (target.wave == kCurrentDevice.wave) {
    target_ = innermost();
  } else {
    take(target);
  }
  innermost_scope = this;
}

TargetScope::~TargetScope() {
  innermost_scope = outer_;
#if defined(HIPFORGE_PLATFORM_CPU)
  (void)hipforge_cpu_set_thread_target(innermost().wave, innermost().shared_bytes);
#endif
}

const Target& TargetScope::innermost() {
  return innermost_scope == nullptr ? kCurrentDevice : innermost_scope->target_;
}

void TargetScope::take(const Target& target) {
#if defined(HIPFORGE_PLATFORM_CPU)
  status_ = hip_status(hipforge_cpu_set_thread_target(target.wave, target.shared_bytes),
                       detail::concat("target ", target.architecture));
  if (!status_.ok()) (void)hipGetLastError();  // told here, not at the next launch
#else
  Target device;
  status_ = device_target(device);
  if (status_.ok() && device.wave != target.wave) {
    status_ = unsupported("target ", target.architecture, " has waves of ", target.wave, ", this device (",
                          device.architecture, ") has ", device.wave);
  }
#endif
}

}  // namespace hipforge
