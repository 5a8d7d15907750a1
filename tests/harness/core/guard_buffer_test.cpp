#include "harness/core/guard_buffer.h"

#include "kernels/runtime/check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <span>

namespace hipforge::harness {
namespace {

// Writes a byte `at` bytes from the start of the payload, as a kernel that strays would.
void write_at(const GuardBuffer& buffer, std::ptrdiff_t at) {
  const std::byte value{7};
  HIPFORGE_HIP_CHECK(
      hipMemcpy(static_cast<std::byte*>(buffer.data()) + at, &value, 1, hipMemcpyHostToDevice));
}

TEST(GuardBuffer, IsAlignedPoisonedAndWhole) {
  const GuardBuffer buffer(1001);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % 256, 0u);
  const std::vector<std::byte> payload = buffer.download();
  EXPECT_EQ(payload, std::vector<std::byte>(1001, std::byte{0xff}));
  EXPECT_EQ(buffer.allocation().bytes(), 1001 + 2 * GuardBuffer::kBandBytes);
  EXPECT_EQ(buffer.check(), "");
}

TEST(GuardBuffer, TheFirstAndTheLastByteAreItsOwn) {
  const GuardBuffer buffer(64);
  write_at(buffer, 0);
  write_at(buffer, 63);
  EXPECT_EQ(buffer.check(), "");
}

TEST(GuardBuffer, AWriteOnEitherSideIsNamedWithItsPlace) {
  const auto band = static_cast<std::ptrdiff_t>(GuardBuffer::kBandBytes);
  for (std::ptrdiff_t distance : {std::ptrdiff_t{1}, std::ptrdiff_t{100}, band}) {
    const GuardBuffer before(64);
    write_at(before, -distance);
    EXPECT_EQ(before.check(), "written before the start, nearest at byte -" + std::to_string(distance));
    const GuardBuffer after(64);
    write_at(after, 64 + distance - 1);
    EXPECT_EQ(after.check(),
              "written past the end, first at byte +" + std::to_string(distance - 1) + " after 64 bytes");
  }
}

TEST(GuardBuffer, ABufferOfNothingHasItsBands) {
  GuardBuffer buffer(0);
  buffer.poison(nullptr);
  EXPECT_EQ(buffer.check(), "");
  write_at(buffer, 0);
  EXPECT_EQ(buffer.check(), "written past the end, first at byte +0 after 0 bytes");
}

TEST(GuardBuffer, WhatIsUploadedComesBackAndMustFit) {
  GuardBuffer buffer(16);
  std::vector<std::byte> values(16);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::byte>(i);
  buffer.upload(values);
  EXPECT_EQ(buffer.download(), values);
  EXPECT_EQ(buffer.check(), "");
  EXPECT_THROW(buffer.upload(std::vector<std::byte>(17)), Error);
}

TEST(GuardBuffer, AnImageBringsBackTheBandsToo) {
  GuardBuffer buffer(32);
  std::vector<std::byte> image(buffer.allocation().bytes());
  buffer.allocation().download(image);
  write_at(buffer, -3);
  ASSERT_NE(buffer.check(), "");
  buffer.restore(image);
  EXPECT_EQ(buffer.check(), "");
  EXPECT_THROW(buffer.restore(std::span(image).first(image.size() - 1)), Error);
}

}  // namespace
}  // namespace hipforge::harness
