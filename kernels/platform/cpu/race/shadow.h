// What is known of each word of a range of memory, and of each byte where threads share a word.
#pragma once

#include <cstddef>
#include <cstdint>

#include "stamp.h"

namespace hipforge::cpu::race {

inline constexpr size_t kWordBytes = 4;

/// The last write, and the reads since then that nothing orders; 0 is none. Two readers are enough to convict
/// any writer that barriers do not order after all of them: at least one of two is not the writer itself.
struct Cell {
  Stamp write;
  Stamp reads[2];     // atomic updates too: they order nothing among themselves
  uint32_t write_pc;  // the low half: enough to find the code again
  uint32_t read_pc;   // of the latest of the reads
};

/// Cells for a range of memory, reserved whole and backed where touched. All zero at first: never written.
class Shadow {
 public:
  Shadow() = default;
  ~Shadow();
  Shadow(const Shadow&) = delete;
  Shadow& operator=(const Shadow&) = delete;

  /// For a range of so many bytes; false if the system has no room for it.
  bool reserve(size_t bytes);
  bool reserved() const { return words_ != nullptr; }

  /// Of the word that holds the byte at `offset`.
  Cell& word(size_t offset) { return words_[offset / kWordBytes]; }
  /// The four cells of the word's bytes; they count where the word's write says kSplitBit.
  Cell* bytes(size_t offset) { return bytes_ + offset / kWordBytes * kWordBytes; }

  /// Sets the cells of a range: written by the host, or never (0).
  void mark(size_t offset, size_t bytes, Stamp write);
  /// As mark with 0, for a range that no other allocation shares a page with: gives memory back too.
  void forget(size_t offset, size_t bytes);

 private:
  Cell* words_ = nullptr;
  Cell* bytes_ = nullptr;
  size_t size_ = 0;
};

/// Gives the bytes of a word cells of their own, which start as the word's.
inline void split(Cell& word, Cell* bytes, Stamp marker) {
  for (size_t i = 0; i < kWordBytes; ++i) bytes[i] = word;
  word = Cell{};
  word.write = marker | kSplitBit;
}

}  // namespace hipforge::cpu::race
