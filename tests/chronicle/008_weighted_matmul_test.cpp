// Wrong indexing of the values: 3.6 on the CPU, 0.0029 on the GPU.

#include "harness/core/rig.h"
#include "kernels/weighted_matmul.h"
#include "tests/status_matchers.h"

namespace hipforge {
namespace {

TEST(Chronicle008, RowTimesColumnRowMajor) {
  harness::Rig rig(1, nullptr);
  WeightedMatmulParams params;
  params.weights = rig.input("weights", DType::kF32, {2, 4, 3, 5});
  params.values = rig.input("values", DType::kF32, {2, 5, 2, 6});
  params.out = rig.output("out", DType::kF32, {2, 3, 4, 6});
  ASSERT_OK(weighted_matmul(params, nullptr));
  ASSERT_OK(rig.finish());
  const std::vector<double>& weights = rig.values("weights");
  const std::vector<double>& values = rig.values("values");
  const std::vector<double> out = rig.read("out");
  for (std::size_t b = 0; b < 2; ++b) {
    for (std::size_t h = 0; h < 4; ++h) {
      for (std::size_t row = 0; row < 3; ++row) {
        for (std::size_t col = 0; col < 6; ++col) {
          double sum = 0.0;
          for (std::size_t k = 0; k < 5; ++k) {
            sum += weights[((b * 4 + h) * 3 + row) * 5 + k] * values[((b * 5 + k) * 2 + h / 2) * 6 + col];
          }
          EXPECT_NEAR(out[((b * 3 + row) * 4 + h) * 6 + col], sum, 1e-5);
        }
      }
    }
  }
}

}  // namespace
}  // namespace hipforge
