// Only the first 32 of 256 partial sums were added: rows longer than a wave summed to 1.12, 2.23, 9.20.

#include "harness/core/rig.h"
#include "kernels/softmax.h"
#include "tests/status_matchers.h"

#include <cmath>
#include <numeric>

namespace hipforge {
namespace {

TEST(Chronicle011, RowsSumToOneAtEveryLength) {
  for (std::int64_t cols :
       {1, 2, 31, 32, 33, 63, 64, 65, 127, 128, 255, 256, 257, 511, 1023, 1025, 2049, 5000}) {
    harness::Rig rig(static_cast<std::uint64_t>(cols), nullptr);
    SoftmaxParams params;
    params.x = rig.input("x", DType::kF32, {1, 1, 2, cols});
    params.y = rig.output("y", DType::kF32, {1, 1, 2, cols});
    ASSERT_OK(softmax(params, nullptr));
    ASSERT_OK(rig.finish());
    const std::vector<double> y = rig.read("y");
    for (int row = 0; row < 2; ++row) {
      const auto begin = y.begin() + row * cols;
      EXPECT_NEAR(std::accumulate(begin, begin + cols, 0.0), 1.0, 2e-6) << "cols " << cols;
    }
  }
}

}  // namespace
}  // namespace hipforge
