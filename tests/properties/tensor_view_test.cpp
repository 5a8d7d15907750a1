#include "kernels/runtime/tensor.h"

#include "kernels/runtime/check.h"
#include "tests/properties/properties.h"

#include <algorithm>
#include <set>
#include <vector>

namespace hipforge {
namespace {

// Any shape of up to kMaxRank axes, empty ones included, and any strides, 0 and overlaps included.
TensorView any_view() {
  TensorView view;
  view.rank = *rc::gen::inRange(1, kMaxRank + 1);
  for (int axis = 0; axis < view.rank; ++axis) {
    view.shape[static_cast<std::size_t>(axis)] = *rc::gen::inRange<std::int64_t>(0, 6);
    view.strides[static_cast<std::size_t>(axis)] = *rc::gen::inRange<std::int64_t>(0, 40);
  }
  return view;
}

// The offsets of all elements, by going through them.
std::vector<std::int64_t> offsets_of(const TensorView& view) {
  std::vector<std::int64_t> offsets{0};
  for (int axis = 0; axis < view.rank; ++axis) {
    std::vector<std::int64_t> next;
    for (std::int64_t offset : offsets) {
      for (std::int64_t i = 0; i < view.shape[static_cast<std::size_t>(axis)]; ++i) {
        next.push_back(offset + i * view.strides[static_cast<std::size_t>(axis)]);
      }
    }
    offsets = std::move(next);
  }
  return offsets;
}

RC_GTEST_PROP(TensorViewProperties, ExtentIsOnePastTheFarthestElement, ()) {
  const TensorView view = any_view();
  const std::vector<std::int64_t> offsets = offsets_of(view);
  RC_ASSERT(view.numel() == static_cast<std::int64_t>(offsets.size()));
  RC_ASSERT(view.extent() == (offsets.empty() ? 0 : *std::max_element(offsets.begin(), offsets.end()) + 1));
}

RC_GTEST_PROP(TensorViewProperties, ContiguousCoversItsElementsOnceInOrder, ()) {
  const auto size = [] { return *rc::gen::inRange<std::int64_t>(0, 7); };
  std::vector<float> memory(1);
  const TensorView view = TensorView::contiguous(memory.data(), DType::kF32, {size(), size(), size()});
  const std::vector<std::int64_t> offsets = offsets_of(view);
  for (std::size_t i = 0; i < offsets.size(); ++i) RC_ASSERT(offsets[i] == static_cast<std::int64_t>(i));
  RC_ASSERT(view.elements == static_cast<std::int64_t>(offsets.size()));
}

RC_GTEST_PROP(TensorViewProperties, ATensorThatReachesPastItsBufferIsRefused, ()) {
  TensorView view = any_view();
  float memory = 0.0f;
  view.data = &memory;
  view.elements = *rc::gen::inRange<std::int64_t>(0, 250);
  RC_ASSERT(check_tensor("op", "x", view, view.rank).ok() == (view.extent() <= view.elements));
}

// May refuse more than it must (axes that interleave without meeting), never less.
RC_GTEST_PROP(TensorViewProperties, OverlapWithinAnOutputIsRefused, ()) {
  const TensorView view = any_view();
  const std::vector<std::int64_t> offsets = offsets_of(view);
  const bool meets = std::set(offsets.begin(), offsets.end()).size() < offsets.size();
  RC_TAG(meets);
  if (meets) RC_ASSERT(!check_no_self_overlap("op", "y", view).ok());
}

RC_GTEST_PROP(TensorViewProperties, OverlapOfTwoTensorsIsRefused, ()) {
  TensorView a = any_view();
  TensorView b = any_view();
  std::vector<float> memory(1);
  a.data = memory.data();
  const auto apart = *rc::gen::inRange<std::int64_t>(0, 200);
  b.data = reinterpret_cast<float*>(reinterpret_cast<std::uintptr_t>(a.data) +
                                    static_cast<std::uintptr_t>(4 * apart));
  const std::vector<std::int64_t> of_a = offsets_of(a);
  std::set<std::int64_t> shared(of_a.begin(), of_a.end());
  bool meets = false;
  for (std::int64_t offset : offsets_of(b)) meets = meets || shared.contains(offset + apart);
  RC_TAG(meets);
  if (meets) RC_ASSERT(!check_no_overlap("op", "a", a, "b", b, false).ok());
  if (a.extent() <= apart) RC_ASSERT(check_no_overlap("op", "a", a, "b", b, false).ok());
}

}  // namespace
}  // namespace hipforge
