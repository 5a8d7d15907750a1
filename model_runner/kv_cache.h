// Keys and values of every layer, in pages that sequences take as they grow.
#pragma once

#include "kernels/runtime/device_buffer.h"
#include "kernels/runtime/status.h"
#include "kernels/runtime/tensor.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace hipforge::runner {

struct KvCacheShape {
  std::int64_t layers = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t page_size = 0;  // tokens of a page
  std::int64_t max_pages = 0;  // pages of all sequences together; each holds page_size tokens of every layer
  DType dtype = DType::kF32;
};

/// Names a sequence of a KvCache; good until it is released.
using SequenceId = std::size_t;

/// Sole owner of the cache's device memory. A sequence's tokens lie in its pages in order; which pages they
/// are, its block table says. The same pages of every layer belong to a sequence.
class KvCache {
 public:
  /// Throws hipforge::Error: kInvalidArgument for a size below 1 or a cache of more than 2^63 - 1 bytes,
  /// kOutOfMemory from the allocation.
  explicit KvCache(const KvCacheShape& shape);

  [[nodiscard]] SequenceId create_sequence();
  /// Gives the sequence's pages back. The id is not to be used any more.
  void release(SequenceId sequence);

  /// Makes room for `tokens` more tokens at the end of the sequence. kCapacity, with the numbers, where the
  /// free pages do not suffice; nothing has changed then.
  [[nodiscard]] Status append(SequenceId sequence, std::int64_t tokens);

  /// Tokens of the sequence.
  [[nodiscard]] std::int64_t length(SequenceId sequence) const;
  /// Pages of the sequence, in the order of its tokens.
  [[nodiscard]] std::span<const std::int32_t> block_table(SequenceId sequence) const;

  [[nodiscard]] const KvCacheShape& shape() const { return shape_; }
  [[nodiscard]] std::int64_t free_pages() const { return static_cast<std::int64_t>(free_pages_.size()); }
  [[nodiscard]] std::size_t bytes() const { return keys_.bytes() + values_.bytes(); }

  /// [max_pages, page_size, kv_heads, head_dim] of one layer.
  [[nodiscard]] TensorView keys(std::int64_t layer) const { return layer_view(keys_, layer); }
  [[nodiscard]] TensorView values(std::int64_t layer) const { return layer_view(values_, layer); }

 private:
  struct Sequence {
    bool live = false;
    std::int64_t length = 0;
    std::vector<std::int32_t> pages;
  };

  [[nodiscard]] const Sequence& at(SequenceId sequence) const;
  [[nodiscard]] TensorView layer_view(const DeviceBuffer& buffer, std::int64_t layer) const;

  KvCacheShape shape_;
  DeviceBuffer keys_;    // [layers, max_pages, page_size, kv_heads, head_dim]
  DeviceBuffer values_;  // likewise
  std::vector<Sequence> sequences_;
  std::vector<std::int32_t> free_pages_;  // taken from the back
};

}  // namespace hipforge::runner
