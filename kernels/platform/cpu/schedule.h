// The order of blocks under HIPFORGE_CPU_SCHEDULE.
#pragma once

#include <bit>
#include <cstdint>

namespace hipforge::cpu {

/// A permutation of 0 … count - 1 that needs no table: a Feistel network over the next power of four,
/// walked until it lands inside. Seed 0 is the identity.
class BlockOrder {
 public:
  BlockOrder(uint64_t count, uint64_t seed)
      : count_(count), seed_(seed), half_bits_((static_cast<unsigned>(std::bit_width(count)) + 1) / 2) {}

  uint64_t operator[](uint64_t index) const {
    if (seed_ == 0) return index;
    do index = step(index);
    while (index >= count_);
    return index;
  }

 private:
  uint64_t step(uint64_t value) const {
    const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
    uint64_t left = value >> half_bits_;
    uint64_t right = value & mask;
    for (uint64_t round = 1; round <= 4; ++round) {
      uint64_t mixed = (right + round * 0x9e3779b97f4a7c15u) ^ seed_;
      mixed = (mixed ^ (mixed >> 29)) * 0xbf58476d1ce4e5b9u;
      mixed ^= mixed >> 32;
      const uint64_t next = left ^ (mixed & mask);
      left = right;
      right = next;
    }
    return (left << half_bits_) | right;
  }

  uint64_t count_;
  uint64_t seed_;
  unsigned half_bits_;
};

}  // namespace hipforge::cpu
