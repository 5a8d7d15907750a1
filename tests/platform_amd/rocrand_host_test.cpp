// rocRAND's host API against the inputs that our kernels draw with its device engine: one seed, the same
// numbers.

#include "harness/core/inputs.h"

#include "kernels/runtime/device_buffer.h"
#include "tests/status_matchers.h"

#include <rocrand/rocrand.h>

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace hipforge::harness {
namespace {

constexpr std::uint64_t kSeed = 42;
constexpr std::int64_t kCount = 4096;
// Element i of a tensor starts at the i-th block of four integers of the tensor's subsequence.
constexpr std::size_t kIntegers = 4 * static_cast<std::size_t>(kCount);

// The host API's Philox stream. It writes device memory; its order is the order of subsequence 0, which is
// tensor 0's.
class HostGenerator {
 public:
  HostGenerator() {
    EXPECT_EQ(rocrand_create_generator(&generator_, ROCRAND_RNG_PSEUDO_PHILOX4_32_10),
              ROCRAND_STATUS_SUCCESS);
    EXPECT_EQ(rocrand_set_seed(generator_, kSeed), ROCRAND_STATUS_SUCCESS);
  }
  HostGenerator(const HostGenerator&) = delete;
  HostGenerator& operator=(const HostGenerator&) = delete;
  ~HostGenerator() { EXPECT_EQ(rocrand_destroy_generator(generator_), ROCRAND_STATUS_SUCCESS); }

  std::vector<std::uint32_t> integers() {
    const DeviceBuffer buffer(kIntegers * sizeof(std::uint32_t));
    EXPECT_EQ(rocrand_generate(generator_, static_cast<unsigned int*>(buffer.data()), kIntegers),
              ROCRAND_STATUS_SUCCESS);
    std::vector<std::uint32_t> values(kIntegers);
    buffer.download(std::as_writable_bytes(std::span(values)));
    return values;
  }

  std::vector<float> normals() {
    const DeviceBuffer buffer(kIntegers * sizeof(float));
    EXPECT_EQ(rocrand_generate_normal(generator_, static_cast<float*>(buffer.data()), kIntegers, 0.0f, 1.0f),
              ROCRAND_STATUS_SUCCESS);
    std::vector<float> values(kIntegers);
    buffer.download(std::as_writable_bytes(std::span(values)));
    return values;
  }

 private:
  rocrand_generator generator_ = nullptr;
};

std::vector<float> ours(Family family) {
  const DeviceBuffer buffer(static_cast<std::size_t>(kCount) * sizeof(float));
  throw_if_error(fill(buffer.view(DType::kF32, {kCount}), family, 1.0, kSeed, 0, nullptr));
  std::vector<float> values(static_cast<std::size_t>(kCount));
  buffer.download(std::as_writable_bytes(std::span(values)));
  return values;
}

TEST(RocrandHost, IntegersAreThoseOfOurKernels) {
  const std::vector<std::uint32_t> theirs = HostGenerator().integers();
  const std::vector<float> positives = ours(Family::kPositive);
  for (std::size_t i = 0; i < positives.size(); ++i) {
    // The first integer of each four as a number in (0, 1], exact until the rounding to f32.
    const double unit = (static_cast<double>(theirs[4 * i]) + 1.0) * 0x1p-32;
    ASSERT_EQ(positives[i], static_cast<float>(unit)) << "element " << i;
  }
}

TEST(RocrandHost, NormalsAgreeWithOursWithinABound) {
  const std::vector<float> theirs = HostGenerator().normals();
  const std::vector<float> normals = ours(Family::kNormal);
  for (std::size_t i = 0; i < normals.size(); ++i) {
    // rocRAND works in f32: the angle alone carries 2π·2⁻²⁴ times a radius of at most 6.7.
    ASSERT_LT(std::fabs(normals[i] - theirs[4 * i]), 1e-5f) << "element " << i;
  }
}

}  // namespace
}  // namespace hipforge::harness
