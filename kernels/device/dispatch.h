#pragma once

#include "kernels/device/dtype.h"
#include "kernels/device/kernel.h"
#include "kernels/device/wave.h"
#include "kernels/runtime/check.h"
#include "kernels/runtime/target.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace hipforge {

/// Most blocks that a launch asks for along x; kernels stride over what is left.
inline constexpr std::int64_t kMaxGrid = 0x7fffffff;

/// How many parts of `size` hold `value`; neither is negative.
[[nodiscard]] constexpr std::int64_t ceil_div(std::int64_t value, std::int64_t size) {
  return (value + size - 1) / size;
}

/// Threads of a block: whole waves that hold `wanted` threads, at least one wave, at most `most` threads.
[[nodiscard]] constexpr int whole_waves(std::int64_t wanted, int wave, int most) {
  return static_cast<int>(std::clamp<std::int64_t>(ceil_div(wanted, wave), 1, most / wave)) * wave;
}

/// Calls visit.template operator()<T>() with the C++ type of a float dtype; returns its Status.
template <class Visit>
Status dispatch_float(const char* op, const char* name, DType dtype, Visit&& visit) {
  switch (dtype) {
    case DType::kF32:
      return visit.template operator()<float>();
    case DType::kF16:
      return visit.template operator()<F16>();
    case DType::kBF16:
      return visit.template operator()<BF16>();
    default:
      return unsupported(op, ": ", name, " has dtype ", dtype_name(dtype), ", supported: f32, f16, bf16");
  }
}

/// Calls visit.template operator()<kWave>() for the target's wave size.
template <class Visit>
Status dispatch_wave(const char* op, const Target& target, Visit&& visit) {
  switch (target.wave) {
    case kWave32:
      return visit.template operator()<kWave32>();
    case kWave64:
      return visit.template operator()<kWave64>();
    default:
      return unsupported(op, ": no kernel for waves of ", target.wave, ", supported: 32, 64");
  }
}

/// A launch along x, of at most kMaxGrid blocks.
[[nodiscard]] inline LaunchPlan make_plan(const KernelEntry& entry, std::int64_t blocks, std::int64_t threads,
                                          std::size_t shared_bytes = 0) {
  LaunchPlan plan;
  plan.kernel = entry.name;
  plan.function = entry.function;
  plan.grid = dim3(static_cast<unsigned>(std::min(blocks, kMaxGrid)), 1, 1);
  plan.block = dim3(static_cast<unsigned>(threads), 1, 1);
  plan.shared_bytes = static_cast<unsigned>(shared_bytes);
  return plan;
}

/// What every launcher does: plan_for(params, target, plan) checks and plans, an empty grid launches nothing,
/// and make_args(params, plan) makes the kernel's argument.
template <class Params, class PlanFor, class MakeArgs>
Status launch_op(const Params& params, hipStream_t stream, const Target& target, PlanFor&& plan_for,
                 MakeArgs&& make_args) {
  LaunchPlan plan;
  Target device;
  if (target.wave == kCurrentDevice.wave) HIPFORGE_TRY(device_target(device));
  const Target& planned = target.wave == kCurrentDevice.wave ? device : target;
  HIPFORGE_TRY(plan_for(params, planned, plan));
  if (plan.grid.x == 0) return {};
  plan.target = planned;
  return launch(plan, make_args(params, plan), stream);
}

}  // namespace hipforge
