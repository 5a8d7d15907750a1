#include "shadow.h"

#include <sys/mman.h>

#include <algorithm>

namespace hipforge::cpu::race {
namespace {

constexpr uintptr_t kPageBytes = 4096;

Cell* map(size_t cells) {
  void* memory = mmap(nullptr, cells * sizeof(Cell), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<Cell*>(memory);
}

void clear(Cell* begin, Cell* end) {
  const auto first = (reinterpret_cast<uintptr_t>(begin) + kPageBytes - 1) / kPageBytes * kPageBytes;
  const auto last = reinterpret_cast<uintptr_t>(end) / kPageBytes * kPageBytes;
  if (first >= last) {
    std::fill(begin, end, Cell{});
    return;
  }
  std::fill(begin, reinterpret_cast<Cell*>(first), Cell{});
  madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);  // reads as zeros from now on
  std::fill(reinterpret_cast<Cell*>(last), end, Cell{});
}

}  // namespace

Shadow::~Shadow() {
  if (words_ != nullptr) munmap(words_, size_ / kWordBytes * sizeof(Cell));
  if (bytes_ != nullptr) munmap(bytes_, size_ * sizeof(Cell));
}

bool Shadow::reserve(size_t bytes) {
  size_ = bytes;
  words_ = map(bytes / kWordBytes);
  bytes_ = map(bytes);
  if (words_ != nullptr && bytes_ != nullptr) return true;
  if (words_ != nullptr) munmap(words_, size_ / kWordBytes * sizeof(Cell));
  words_ = nullptr;
  return false;
}

void Shadow::mark(size_t offset, size_t bytes, Stamp write) {
  Cell cell{};
  cell.write = write;
  const size_t end = offset + bytes;
  const auto mark_bytes = [&](size_t from, size_t to) {
    Cell& all = word(from);
    Cell* each = this->bytes(from);
    if ((all.write & kSplitBit) == 0) split(all, each, kHostWrote);
    for (size_t at = from; at < to; ++at) each[at % kWordBytes] = cell;
  };
  const size_t first = (offset + kWordBytes - 1) / kWordBytes * kWordBytes;
  const size_t last = end / kWordBytes * kWordBytes;
  if (first > last) {  // within one word
    mark_bytes(offset, end);
    return;
  }
  if (offset < first) mark_bytes(offset, first);
  std::fill(&word(first), &word(first) + (last - first) / kWordBytes, cell);
  if (last < end) mark_bytes(last, end);
}

void Shadow::forget(size_t offset, size_t bytes) {
  const size_t end = (offset + bytes + kWordBytes - 1) / kWordBytes * kWordBytes;
  clear(&word(offset), &word(end));
  clear(this->bytes(offset), this->bytes(end));
}

}  // namespace hipforge::cpu::race
