// Tensors of 16 and 8 elements where the shapes need 32 and 16 reached a kernel.

#include "tests/chronicle/attention.h"

namespace hipforge {
namespace {

TEST(Chronicle002, SizesAreCheckedBeforeTheLaunchWithBothNumbers) {
  AttentionCase attention(4, 4, 2, 1, 4);
  attention.params.q.elements = 16;
  expect_status(flash_attention(attention.params, nullptr), StatusCode::kInvalidArgument, "holds 16 elements",
                "needs 32");
  attention.params.q.elements = 32;
  attention.params.k.elements = 8;
  expect_status(flash_attention(attention.params, nullptr), StatusCode::kInvalidArgument, "holds 8 elements",
                "needs 16");
}

TEST(Chronicle002, GroupedAndMultiQueryAttentionAreRight) {
  for (std::int64_t kv_heads : {1, 2, 3, 6}) {
    AttentionCase attention(2, 5, 6, kv_heads, 4);
    EXPECT_LT(worst_difference(attention.run(), attention.textbook()), 1e-5) << kv_heads;
  }
}

}  // namespace
}  // namespace hipforge
