#pragma once

#include <hip/hip_runtime.h>

#include <cmath>

namespace hipforge {

/// 2^x within a relative 2⁻²² (PTX ISA 8.0, section 9.7.3.20; AMD's v_exp_f32: 1 ulp), in one instruction
/// where the hardware has it. A result below 2⁻¹²⁶ may be 0. −inf gives +0, NaN stays NaN.
__device__ inline float fast_exp2(float x) {
#if defined(__CUDA_ARCH__)
  float power;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x));
  return power;
#elif defined(__AMDGCN__) && __has_builtin(__builtin_amdgcn_exp2f)
  return __builtin_amdgcn_exp2f(x);
#else
  return exp2f(x);
#endif
}

}  // namespace hipforge
