#include "model_runner/kv_cache.h"

#include <algorithm>
#include <limits>
#include <numeric>

namespace hipforge::runner {
namespace {

std::size_t layer_stack_bytes(const KvCacheShape& shape) {
  std::int64_t bytes = static_cast<std::int64_t>(dtype_size(shape.dtype));
  for (const std::int64_t size :
       {shape.layers, shape.max_pages, shape.page_size, shape.kv_heads, shape.head_dim}) {
    if (size < 1 || bytes > std::numeric_limits<std::int64_t>::max() / size) {
      throw Error(invalid_argument("kv cache: ", shape.layers, " layers, ", shape.max_pages, " pages of ",
                                   shape.page_size, " tokens, ", shape.kv_heads, " heads of ", shape.head_dim,
                                   ": every size must be at least 1, and the whole below 2^63 bytes"));
    }
    bytes *= size;
  }
  if (shape.max_pages > std::numeric_limits<std::int32_t>::max()) {
    throw Error(
        invalid_argument("kv cache: ", shape.max_pages, " pages, at most 2^31 - 1 have an i32 number"));
  }
  return static_cast<std::size_t>(bytes);
}

}  // namespace

KvCache::KvCache(const KvCacheShape& shape)
    : shape_(shape), keys_(layer_stack_bytes(shape)), values_(layer_stack_bytes(shape)) {
  // From the back, so that page 0 is taken first.
  free_pages_.resize(static_cast<std::size_t>(shape.max_pages));
  std::iota(free_pages_.rbegin(), free_pages_.rend(), 0);
}

SequenceId KvCache::create_sequence() {
  const auto unused = std::find_if(sequences_.begin(), sequences_.end(),
                                   [](const Sequence& sequence) { return !sequence.live; });
  const auto id = static_cast<SequenceId>(unused - sequences_.begin());
  if (unused == sequences_.end()) sequences_.emplace_back();
  sequences_[id].live = true;
  return id;
}

void KvCache::release(SequenceId sequence) {
  (void)at(sequence);
  Sequence& released = sequences_[sequence];
  free_pages_.insert(free_pages_.end(), released.pages.rbegin(), released.pages.rend());
  released = {};
}

Status KvCache::append(SequenceId sequence, std::int64_t tokens) {
  const Sequence& grown = at(sequence);
  if (tokens < 0) return invalid_argument("kv cache: cannot append ", tokens, " tokens");
  const auto held = static_cast<std::int64_t>(grown.pages.size());
  const std::int64_t room = held * shape_.page_size - grown.length;
  // Compared with what is free as tokens, not as pages, so that no sum can overflow.
  if (tokens > room && tokens - room > free_pages() * shape_.page_size) {
    return failure(StatusCode::kCapacity, "kv cache: ", tokens, " tokens after ", grown.length, " need ",
                   (tokens - room - 1) / shape_.page_size + 1, " more pages of ", shape_.page_size,
                   " tokens, ", free_pages(), " of ", shape_.max_pages, " are free");
  }
  Sequence& changed = sequences_[sequence];
  for (std::int64_t left = tokens - room; left > 0; left -= shape_.page_size) {
    changed.pages.push_back(free_pages_.back());
    free_pages_.pop_back();
  }
  changed.length += tokens;
  return {};
}

std::int64_t KvCache::length(SequenceId sequence) const {
  return at(sequence).length;
}

std::span<const std::int32_t> KvCache::block_table(SequenceId sequence) const {
  return at(sequence).pages;
}

const KvCache::Sequence& KvCache::at(SequenceId sequence) const {
  if (sequence >= sequences_.size() || !sequences_[sequence].live) {
    throw Error(invalid_argument("kv cache: there is no sequence ", sequence));
  }
  return sequences_[sequence];
}

TensorView KvCache::layer_view(const DeviceBuffer& buffer, std::int64_t layer) const {
  if (layer < 0 || layer >= shape_.layers) {
    throw Error(invalid_argument("kv cache: layer ", layer, " of ", shape_.layers));
  }
  const std::int64_t elements = shape_.max_pages * shape_.page_size * shape_.kv_heads * shape_.head_dim;
  auto* const start = static_cast<std::byte*>(buffer.data()) +
                      static_cast<std::size_t>(layer * elements) * dtype_size(shape_.dtype);
  return TensorView::contiguous(start, shape_.dtype,
                                {shape_.max_pages, shape_.page_size, shape_.kv_heads, shape_.head_dim});
}

}  // namespace hipforge::runner
