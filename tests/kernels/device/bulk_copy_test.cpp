#include "tests/kernels/device/bulk_copy_probe.h"

#include "kernels/device/register_budget.h"
#include "kernels/runtime/device_buffer.h"
#include "kernels/runtime/tensor_map.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace hipforge::test {
namespace {

static_assert(registers_suffice(168, 1, 24, 2, 240) && !registers_suffice(168, 1, 32, 2, 240));

void expect_boxes_moved(const BulkProbe& probe) {
  std::vector<std::uint16_t> in(static_cast<std::size_t>(probe.rows) *
                                static_cast<std::size_t>(probe.row_elements));
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<std::uint16_t>(i * 40503u >> 3);
  std::vector<std::uint16_t> out;
  const Status status = bulk_copy_probe(probe, in, out);
  if (status.code == StatusCode::kUnsupported) GTEST_SKIP() << status.message;
  ASSERT_TRUE(status.ok()) << status.message;
  for (int row = 0; row < probe.rows; ++row) {
    for (int column = 0; column < probe.row_elements; ++column) {
      const int to_row = std::max(probe.first_row, 0);
      const int to_column = std::max(probe.column, 0);
      const bool moved = column < probe.columns && column >= to_column && column < to_column + 64 &&
                         row >= to_row && row < to_row + probe.boxes * 16;
      const int from_row = row - to_row + probe.first_row;
      const int from_column = column - to_column + probe.column;
      const bool inside =
          from_row >= 0 && from_column >= 0 && from_row < probe.rows && from_column < probe.columns;
      const auto i = static_cast<std::size_t>(row * probe.row_elements + column);
      const std::uint16_t read =
          inside ? in[static_cast<std::size_t>(from_row * probe.row_elements + from_column)]
                 : std::uint16_t{0};
      const auto expected = moved ? static_cast<std::uint16_t>(read + 1u) : std::uint16_t{0xffff};
      ASSERT_EQ(out[i], expected) << "row " << row << " column " << column;
    }
  }
}

TEST(BulkCopy, BoxesGoRoundARing) {
  expect_boxes_moved({.rows = 256, .columns = 64, .row_elements = 64, .boxes = 16});
}

TEST(BulkCopy, ElementsOutsideOfTheTensorAreLeftAlone) {
  for (const bool swizzled : {true, false}) {
    expect_boxes_moved({.rows = 75, .columns = 48, .row_elements = 56, .boxes = 5, .swizzled = swizzled});
    expect_boxes_moved({.rows = 75,
                        .columns = 48,
                        .row_elements = 56,
                        .first_row = -5,
                        .column = -24,
                        .boxes = 4,
                        .swizzled = swizzled});
  }
}

// Small whole numbers, so that every order of the sum gives the same.
TEST(BulkCopy, AWarpgroupMultipliesTheBoxesThatLoadsBring) {
  constexpr std::size_t kDepth = 320;
  std::vector<float> a(64 * kDepth);
  std::vector<float> b(128 * kDepth);
  for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i * 7 % 13) - 6.0f;
  for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<float>(i * 5 % 11) - 5.0f;
  std::vector<float> c;
  const Status status = bulk_product_probe(kDepth, a, b, c);
  if (status.code == StatusCode::kUnsupported) GTEST_SKIP() << status.message;
  ASSERT_TRUE(status.ok()) << status.message;
  for (std::size_t row = 0; row < 64; ++row) {
    for (std::size_t column = 0; column < 128; ++column) {
      float expected = 0.0f;
      for (std::size_t k = 0; k < kDepth; ++k) expected += a[row * kDepth + k] * b[column * kDepth + k];
      ASSERT_EQ(c[row * 128 + column], expected) << "row " << row << " column " << column;
    }
  }
}

TEST(TensorMap, TellsWhatTheCopyEngineCannot) {
  const DeviceBuffer buffer(1 << 16);
  const std::uint64_t extents[] = {64, 64};
  const std::uint64_t strides[] = {128};
  const std::uint64_t odd_strides[] = {130};
  const std::uint32_t box[] = {64, 16};
  const std::uint32_t wide_box[] = {128, 16};
  const std::uint32_t tall_box[] = {64, 257};
  const auto* base = static_cast<const std::byte*>(buffer.data());
  const auto message = [](const TensorMapParams& params) {
    TensorMap map;
    const Status status = make_tensor_map(params, map);
    EXPECT_EQ(status.code, StatusCode::kUnsupported);
    return status.message;
  };
  EXPECT_NE(message({base + 8, 2, extents, strides, box, true}).find("not a multiple of 16"),
            std::string::npos);
  EXPECT_NE(message({base, 2, extents, odd_strides, box, true}).find("130 bytes"), std::string::npos);
  EXPECT_NE(message({base, 2, extents, strides, wide_box, true}).find("256 bytes"), std::string::npos);
  EXPECT_NE(message({base, 2, extents, strides, tall_box, true}).find("257"), std::string::npos);
  EXPECT_NE(message({base, 8, extents, strides, box, true}).find("of 8 bytes"), std::string::npos);
  const std::uint64_t odd_extents[] = {50, 64};
  EXPECT_NE(message({base, 2, odd_extents, strides, box, true}).find("100 bytes"), std::string::npos);
  EXPECT_NE(message({base, 2, extents, {}, box, true}).find("0 strides"), std::string::npos);
  const std::uint64_t no_extents[] = {0, 64};
  EXPECT_NE(message({base, 2, no_extents, strides, box, true}).find("extent 0 is 0"), std::string::npos);
  const std::uint64_t far_strides[] = {std::uint64_t{1} << 40};
  EXPECT_NE(message({base, 2, extents, far_strides, box, true}).find("1099511627776 bytes"),
            std::string::npos);
}

TEST(TensorMap, ARowOfABoxIsOf128BytesOnlyWhereItIsSwizzled) {
  const DeviceBuffer buffer(1 << 16);
  const std::uint64_t extents[] = {64, 64};
  const std::uint64_t strides[] = {128};
  const std::uint32_t narrow_box[] = {32, 16};
  const auto message = [&](bool swizzled) {
    TensorMap map;
    return make_tensor_map({buffer.data(), 2, extents, strides, narrow_box, swizzled}, map).message;
  };
  EXPECT_NE(message(true).find("64 bytes, supported: 128"), std::string::npos) << message(true);
  EXPECT_EQ(message(false).find("a row of the box"), std::string::npos) << message(false);
}

}  // namespace
}  // namespace hipforge::test
