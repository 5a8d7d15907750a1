#include "kernels/runtime/device_buffer.h"

#include "tests/status_matchers.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace hipforge {
namespace {

static_assert(!std::is_copy_constructible_v<DeviceBuffer> && !std::is_copy_assignable_v<DeviceBuffer>);
static_assert(std::is_nothrow_move_constructible_v<DeviceBuffer> &&
              std::is_nothrow_move_assignable_v<DeviceBuffer>);

template <class Act>
Status status_of(Act&& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.status();
  }
  return {};
}

TEST(DeviceBuffer, RoundTrip) {
  DeviceBuffer buffer(16);
  const std::array<float, 4> in{1, 2, 3, 4};
  std::array<float, 2> out{};
  buffer.upload(std::as_bytes(std::span(in)));
  buffer.download(std::as_writable_bytes(std::span(out)), 8);
  EXPECT_EQ(out[0], 3.0f);
  EXPECT_EQ(out[1], 4.0f);
}

TEST(DeviceBuffer, CopiesThatDoNotFitNameBothSizesAndCopyNothing) {
  DeviceBuffer buffer(16);
  std::array<std::byte, 17> bytes{};
  expect_status(status_of([&] { buffer.upload(bytes); }), StatusCode::kInvalidArgument, "upload of 17 bytes",
                "16 bytes");
  expect_status(status_of([&] { buffer.download(std::span(bytes).first(8), 9); }),
                StatusCode::kInvalidArgument, "download of 8 bytes at offset 9", "16 bytes");
  expect_status(status_of([&] { buffer.upload(std::span(bytes).first(1), SIZE_MAX); }),
                StatusCode::kInvalidArgument, "upload of 1 bytes");
}

TEST(DeviceBuffer, ViewsAreCheckedAgainstTheSize) {
  const DeviceBuffer buffer(64);
  EXPECT_EQ(buffer.view(DType::kF32, {2, 8}).elements, 16);
  expect_status(status_of([&] {
                  (void)buffer.view(DType::kF32, {
                                                     1,
                                                     2,
                                                     2,
                                                     4,
                                                 });
                }),
                StatusCode::kOk);
  expect_status(status_of([&] {
                  (void)buffer.view(DType::kF32, {1, 2, 3, 4});
                }),
                StatusCode::kInvalidArgument, "holds 16 elements, shape [1, 2, 3, 4] needs 24");
  expect_status(status_of([&] {
                  (void)buffer.view(DType::kF32, {INT64_MAX, INT64_MAX});
                }),
                StatusCode::kInvalidArgument, "holds 16 elements");
}

TEST(DeviceBuffer, AnImpossibleAllocationIsOutOfMemoryWithTheNumber) {
  const Status status = status_of([] { const DeviceBuffer buffer(std::size_t{1} << 60); });
  expect_status(status, StatusCode::kOutOfMemory, "1152921504606846976 bytes");
  EXPECT_EQ(hipGetLastError(), hipSuccess) << "a failed allocation must not surface at the next launch";
}

TEST(DeviceBuffer, EmptyOwnsNothing) {
  DeviceBuffer buffer(0);
  EXPECT_EQ(buffer.data(), nullptr);
  buffer.upload({});
  buffer.fill(0);
}

TEST(DeviceBuffer, MovesLeaveOneOwner) {
  DeviceBuffer a(32);
  void* const address = a.data();
  DeviceBuffer b(std::move(a));
  EXPECT_EQ(b.data(), address);
  DeviceBuffer c(8);
  c = std::move(b);
  EXPECT_EQ(c.data(), address);
  EXPECT_EQ(c.bytes(), 32u);
}

TEST(DeviceBuffer, SharedOwnersOnManyThreadsFreeOnce) {
  for (int round = 0; round < 50; ++round) {
    auto shared = std::make_shared<DeviceBuffer>(64);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([copy = shared]() mutable { copy.reset(); });
    }
    shared.reset();
    for (std::thread& thread : threads) thread.join();
  }
  // A second free of any of them would have been an error of the runtime.
  EXPECT_EQ(hipGetLastError(), hipSuccess);
}

TEST(DeviceBuffer, GivesItsMemoryBack) {
#if !defined(HIPFORGE_PLATFORM_CPU)
  GTEST_SKIP() << "on a GPU others take and give memory meanwhile";
#else
  std::size_t before = 0;
  std::size_t after = 0;
  std::size_t total = 0;
  ASSERT_EQ(hipMemGetInfo(&before, &total), hipSuccess);
  {
    const DeviceBuffer buffer(1 << 20);
    ASSERT_EQ(hipMemGetInfo(&after, &total), hipSuccess);
    EXPECT_LT(after, before);
  }
  ASSERT_EQ(hipMemGetInfo(&after, &total), hipSuccess);
  EXPECT_EQ(after, before);
#endif
}

}  // namespace
}  // namespace hipforge
