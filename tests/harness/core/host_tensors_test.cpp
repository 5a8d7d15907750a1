#include "harness/core/host_tensors.h"

#include "kernels/kv_append.h"
#include "kernels/rms_norm.h"

#include <gtest/gtest.h>

namespace hipforge::harness {
namespace {

float memory[64];

RmsNormParams norm_params() {
  RmsNormParams params;
  params.x = TensorView::contiguous(memory, DType::kF32, {4, 3});
  params.weight = TensorView::contiguous(memory + 32, DType::kF16, {3});
  params.y = TensorView::contiguous(memory + 16, DType::kF32, {4, 3});
  return params;
}

TEST(HostTensors, AreFetchedWhenTheyAreFirstAskedForAndOnce) {
  std::vector<const void*> fetched;
  const HostTensors host(norm_params(), [&](const TensorView& view) {
    fetched.push_back(view.data);
    return std::vector<double>(static_cast<std::size_t>(view.numel()), 2.0);
  });
  EXPECT_TRUE(fetched.empty());
  EXPECT_EQ(host["weight"].dtype, DType::kF16);
  EXPECT_EQ(host["weight"].shape, Shape{3});
  EXPECT_EQ(host.values("weight").size(), 3u);
  EXPECT_EQ(fetched, std::vector<const void*>{memory + 32});
  EXPECT_TRUE(host.values("residual").empty()) << "it is optional and absent";
  EXPECT_THROW((void)host["residual"], Error);
  EXPECT_THROW((void)host["no such tensor"], Error);
}

TEST(HostTensors, RowsAreFetchedAloneAndAnewEachTime) {
  std::vector<TensorView> fetched;
  const HostTensors host(norm_params(), [&](const TensorView& view) {
    fetched.push_back(view);
    return std::vector<double>(static_cast<std::size_t>(view.numel()));
  });
  for (int i = 0; i < 2; ++i) EXPECT_EQ(host.rows("x", 1, 2).shape, (Shape{2, 3}));
  ASSERT_EQ(fetched.size(), 2u);
  EXPECT_EQ(fetched[1].data, memory + 3);
  EXPECT_EQ(fetched[1].elements, 9) << "the memory behind the first row";
}

TEST(HostTensors, ASliceMayTakeEveryOtherIndex) {
  const TensorView x = norm_params().x;
  const TensorView slice = slice_axis(x, 0, 1, 2, 2);
  EXPECT_EQ(shape_of(slice), (Shape{2, 3}));
  EXPECT_EQ(slice.strides[0], 6);
  EXPECT_EQ(slice.data, memory + 3);
}

TEST(MovedBytes, AreThoseOfEachTensorThatIsThereAndTwiceOfOneThatIsReadAndWritten) {
  RmsNormParams norm = norm_params();
  EXPECT_EQ(moved_bytes(norm), 48 + 6 + 48);
  norm.residual = TensorView::contiguous(memory, DType::kF16, {4, 3});
  EXPECT_EQ(moved_bytes(norm), 48 + 6 + 48 + 24);
  KvAppendParams append;
  append.k_cache = TensorView::contiguous(memory, DType::kF32, {2, 4, 1, 2});
  EXPECT_EQ(moved_bytes(append), 2 * 64);
}

}  // namespace
}  // namespace hipforge::harness
