#pragma once

#include "kernels/device/dtype.h"

#include <hip/hip_runtime.h>

#include <cstdint>

namespace hipforge::linear_detail {

constexpr int kPack = 8;  // elements of a row that a lane takes at a time

struct LinearArgs {
  const void* x;
  const void* weight;
  const void* bias;  // null where there is none
  void* y;
  std::int64_t x_stride;
  std::int64_t weight_stride;
  std::int64_t y_stride;
  std::int64_t rows;
  std::int64_t in_features;
  std::int64_t out_features;
  int lanes;         // of a group: the lanes that share a dot product
  int vector_io;     // every row of x and weight takes whole-pack accesses
  int vector_store;  // every row of y does
  int bias_is_f32;   // else its dtype is that of weight
  int y_is_f32;      // else its dtype is that of x
};

template <class W>
__device__ inline float load_bias(const LinearArgs& args, std::int64_t column) {
  return args.bias_is_f32 ? static_cast<const float*>(args.bias)[column]
                          : to_float(static_cast<const W*>(args.bias)[column]);
}

}  // namespace hipforge::linear_detail
