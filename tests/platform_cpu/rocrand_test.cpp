// rocRAND's device headers compile on this platform, and Philox gives its known answers.
#include "platform_fixture.h"

#include <rocrand/rocrand_kernel.h>

#include <cmath>

namespace hipforge::test {
namespace {

using RocrandTest = PlatformTest;

struct PhiloxArgs {
  unsigned* out;
  unsigned long long seed;
  unsigned long long subsequence;
  unsigned long long offset;
};

__global__ void philox(PhiloxArgs args) {
  rocrand_state_philox4x32_10 state;
  rocrand_init(args.seed, args.subsequence + threadIdx.x, args.offset, &state);
  for (unsigned i = 0; i < 8; ++i) args.out[threadIdx.x * 8 + i] = rocrand(&state);
}

__global__ void uniform_and_normal(float* out) {
  rocrand_state_philox4x32_10 state;
  rocrand_init(7, threadIdx.x, 0, &state);
  out[2 * threadIdx.x] = rocrand_uniform(&state);
  out[2 * threadIdx.x + 1] = rocrand_normal(&state);
}

/// Philox4x32-10 as published (Salmon et al., SC 2011), written apart from rocRAND.
struct Philox {
  uint32_t counter[4];
  uint32_t key[2];

  void block(uint32_t out[4]) const {
    uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]};
    uint32_t k[2] = {key[0], key[1]};
    for (int round = 0; round < 10; ++round) {
      const uint64_t first = uint64_t{0xD2511F53} * c[0];
      const uint64_t second = uint64_t{0xCD9E8D57} * c[2];
      const uint32_t next[4] = {
          static_cast<uint32_t>(second >> 32) ^ c[1] ^ k[0], static_cast<uint32_t>(second),
          static_cast<uint32_t>(first >> 32) ^ c[3] ^ k[1], static_cast<uint32_t>(first)};
      for (int i = 0; i < 4; ++i) c[i] = next[i];
      k[0] += 0x9E3779B9;
      k[1] += 0xBB67AE85;
    }
    for (int i = 0; i < 4; ++i) out[i] = c[i];
  }
};

TEST_F(RocrandTest, PhiloxGivesThePublishedAnswers) {
  // The known answers of Random123: counter and key all zero, then all ones.
  uint32_t out[4];
  Philox{{0, 0, 0, 0}, {0, 0}}.block(out);
  EXPECT_EQ(out[0], 0x6627e8d5u);
  EXPECT_EQ(out[1], 0xe169c58du);
  EXPECT_EQ(out[2], 0xbc57ac4cu);
  EXPECT_EQ(out[3], 0x9b00dbd8u);
  Philox{{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}}.block(out);
  EXPECT_EQ(out[0], 0x408f276du);
  EXPECT_EQ(out[1], 0x41c83b0eu);
  EXPECT_EQ(out[2], 0xa20bc7c6u);
  EXPECT_EQ(out[3], 0x6d5451fdu);
}

TEST_F(RocrandTest, KernelsGiveTheSameBits) {
  constexpr unsigned kThreads = 50;
  auto* out = device<unsigned>(kThreads * 8);
  for (const unsigned long long seed : {0ull, 1ull, 0xdeadbeefdeadbeefull}) {
    for (const unsigned long long offset : {0ull, 4ull, 6ull, 1ull << 40}) {
      hipLaunchKernelGGL(philox, 1, kThreads, 0, nullptr, PhiloxArgs{out, seed, 1ull << 33, offset});
      const auto values = host(out, kThreads * 8);
      for (unsigned thread = 0; thread < kThreads; ++thread) {
        const unsigned long long subsequence = (1ull << 33) + thread;
        for (unsigned i = 0; i < 8; ++i) {
          const unsigned long long position = offset + i;
          const unsigned long long block = position / 4;
          uint32_t expected[4];
          Philox{{static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32),
                  static_cast<uint32_t>(subsequence), static_cast<uint32_t>(subsequence >> 32)},
                 {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)}}
              .block(expected);
          ASSERT_EQ(values[thread * 8 + i], expected[position % 4]) << thread << " " << i;
        }
      }
    }
  }
}

TEST_F(RocrandTest, UniformsAndNormalsAreInRange) {
  auto* out = device<float>(2 * 256);
  hipLaunchKernelGGL(uniform_and_normal, 1, 256, 0, nullptr, out);
  const auto values = host(out, 512);
  float sum = 0;
  for (size_t i = 0; i < 256; ++i) {
    EXPECT_GT(values[2 * i], 0.0f);
    EXPECT_LE(values[2 * i], 1.0f);
    EXPECT_TRUE(std::isfinite(values[2 * i + 1]));
    EXPECT_LT(std::fabs(values[2 * i + 1]), 6.0f);
    sum += values[2 * i + 1];
  }
  EXPECT_LT(std::fabs(sum / 256), 0.3f);
}

}  // namespace
}  // namespace hipforge::test
