#include "harness/core/inputs.h"

#include "kernels/device/dispatch.h"
#include "kernels/device/kernel.h"

#include <rocrand/rocrand_philox4x32_10.h>

#include <algorithm>

namespace hipforge::harness {
namespace inputs_detail {

constexpr int kBlock = 256;

struct FillArgs {
  void* data;
  std::int64_t shape[kMaxRank];
  std::int64_t strides[kMaxRank];
  std::int64_t count;
  std::uint64_t seed;
  std::uint64_t tensor_id;
  double scale;
  double smallest_normal;
  int family;
};

// Everything below is +, −, ×, ÷, sqrt and explicit fma in double: correctly rounded on every platform, and
// with no product left beside a sum that a compiler could fuse on one and not on another. Hence the same bits
// everywhere.

// ln(v) for a normal v > 0: v = 2^e·m with m in [√½, √2), ln m = 2·atanh((m − 1) / (m + 1)) as a series.
__device__ inline double exact_log(double v) {
  std::uint64_t bits = detail::bit_cast<std::uint64_t>(v);
  int exponent = static_cast<int>(bits >> 52) - 1023;
  double m = detail::bit_cast<double>((bits & 0xfffffffffffffull) | 0x3ff0000000000000ull);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    ++exponent;
  }
  const double z = (m - 1.0) / (m + 1.0);
  const double z2 = z * z;
  double series = 1.0 / 21.0;
  for (int k = 19; k >= 1; k -= 2) series = fma(series, z2, 1.0 / k);
  return fma(static_cast<double>(exponent), 0.6931471805599453, 2.0 * z * series);
}

// cos and sin of 2π·turn for turn in [0, 1): the octant is exact, the series see at most π/4.
__device__ inline void exact_sincos(double turn, double& sine, double& cosine) {
  const int quadrant = static_cast<int>(fma(turn, 4.0, 0.5));
  const double angle = fma(static_cast<double>(quadrant), -0.25, turn) * 6.283185307179586;
  const double a2 = angle * angle;
  double s = 0.0;
  double c = 0.0;
  for (int k = 17; k >= 1; k -= 2) {
    s = fma(s * a2, -1.0 / ((k + 1) * (k + 2)), 1.0);
    c = fma(c * a2, -1.0 / (k * (k + 1)), 1.0);
  }
  s *= angle;
  switch (quadrant & 3) {
    case 0:
      sine = s;
      cosine = c;
      break;
    case 1:
      sine = c;
      cosine = -s;
      break;
    case 2:
      sine = -s;
      cosine = -c;
      break;
    default:
      sine = -c;
      cosine = s;
      break;
  }
}

// Uniform in (0, 1], exact.
__device__ inline double unit_uniform(unsigned int bits) {
  return fma(static_cast<double>(bits), 0x1p-32, 0x1p-32);
}

// Box and Muller's transform with rocRAND's use of its two integers: the radius from the first, the angle
// from the second.
__device__ inline double standard_normal(unsigned int radius_bits, unsigned int angle_bits) {
  const double radius = sqrt(-2.0 * exact_log(unit_uniform(radius_bits)));
  double sine = 0.0;
  double cosine = 0.0;
  const double turn = unit_uniform(angle_bits);
  exact_sincos(turn < 1.0 ? turn : 0.0, sine, cosine);
  return radius * sine;
}

__device__ inline double draw(const FillArgs& args, std::int64_t index) {
  rocrand_device::philox4x32_10_engine engine(args.seed, args.tensor_id,
                                              4ull * static_cast<std::uint64_t>(index));
  const uint4 bits = engine.next4();
  const std::int64_t row_size = args.shape[kMaxRank - 1];
  switch (static_cast<Family>(args.family)) {
    case Family::kNormal:
      return args.scale * standard_normal(bits.x, bits.y);
    case Family::kUniform:
      return args.scale * fma(unit_uniform(bits.x), 2.0, -1.0);
    case Family::kPositive:
      return args.scale * unit_uniform(bits.x);
    case Family::kOutliers:
      return args.scale * standard_normal(bits.x, bits.y) * (bits.z % 64 == 0 ? 20.0 : 1.0);
    case Family::kIntegers:
      return args.scale * (static_cast<double>(bits.x % 17) - 8.0);
    case Family::kSubnormal:
      return args.smallest_normal * fma(unit_uniform(bits.x), 1.9, -0.95);
    case Family::kEqual:
      return args.scale;
    case Family::kOneHot: {
      // The hot index is drawn once a row, from the row's own number.
      const std::int64_t row = index / row_size;
      rocrand_device::philox4x32_10_engine row_engine(args.seed, args.tensor_id,
                                                      4ull * static_cast<std::uint64_t>(row));
      return index % row_size == static_cast<std::int64_t>(row_engine() % static_cast<unsigned>(row_size))
                 ? args.scale
                 : 0.0;
    }
    case Family::kCancel: {
      // Neighbours share a draw: +a, then −a with the last bits changed.
      rocrand_device::philox4x32_10_engine pair_engine(args.seed, args.tensor_id,
                                                       4ull * static_cast<std::uint64_t>(index / 2));
      const uint4 pair = pair_engine.next4();
      const double value = args.scale * standard_normal(pair.x, pair.y);
      return index % 2 == 0 ? value : -value * fma(unit_uniform(pair.z), 0x1p-7, 1.0);
    }
  }
  return 0.0;
}

template <class T>
__device__ void fill_kernel(const FillArgs& args) {
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * blockDim.x;
  for (std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
       index < args.count; index += step) {
    std::int64_t rest = index;
    std::int64_t offset = 0;
    for (int axis = kMaxRank - 1; axis >= 0; --axis) {
      offset += rest % args.shape[axis] * args.strides[axis];
      rest /= args.shape[axis];
    }
    static_cast<T*>(args.data)[offset] = from_float<T>(static_cast<float>(draw(args, index)));
  }
}

template <class T>
inline constexpr KernelEntry kFillEntry{};
HIPFORGE_KERNEL(kFillEntry, (f32), fill_f32, fill_kernel, FillArgs, kBlock)
HIPFORGE_KERNEL(kFillEntry, (f16), fill_f16, fill_kernel, FillArgs, kBlock)
HIPFORGE_KERNEL(kFillEntry, (bf16), fill_bf16, fill_kernel, FillArgs, kBlock)

}  // namespace inputs_detail

using namespace inputs_detail;

const char* family_name(Family family) {
  constexpr const char* kNames[] = {"normal",    "uniform", "positive", "outliers", "integers",
                                    "subnormal", "equal",   "one_hot",  "cancel"};
  return kNames[static_cast<std::size_t>(family)];
}

Status fill(const TensorView& tensor, Family family, double scale, std::uint64_t seed,
            std::uint64_t tensor_id, hipStream_t stream) {
  HIPFORGE_TRY(check_tensor("fill", "tensor", tensor, tensor.rank));
  FillArgs args{};
  args.data = tensor.data;
  args.count = tensor.numel();
  args.seed = seed;
  args.tensor_id = tensor_id;
  args.scale = scale;
  args.smallest_normal = tensor.dtype == DType::kF16 ? 0x1p-14 : 0x1p-126;
  args.family = static_cast<int>(family);
  // Right-aligned to the full rank, so that the innermost axis is always the last.
  for (int axis = 0; axis < kMaxRank; ++axis) {
    const int from = axis - (kMaxRank - tensor.rank);
    args.shape[axis] = from < 0 ? 1 : tensor.shape[static_cast<std::size_t>(from)];
    args.strides[axis] = from < 0 ? 0 : tensor.strides[static_cast<std::size_t>(from)];
  }
  if (args.count == 0) return {};
  return dispatch_float("fill", "tensor", tensor.dtype, [&]<class T>() {
    return launch(make_plan(kFillEntry<T>, ceil_div(args.count, kBlock), kBlock), args, stream);
  });
}

}  // namespace hipforge::harness
