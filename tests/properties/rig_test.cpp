#include "harness/core/rig.h"

#include "harness/core/tolerance.h"
#include "kernels/runtime/check.h"
#include "tests/properties/properties.h"

#include <cmath>
#include <vector>

namespace hipforge::harness {
namespace {

Shape any_shape() {
  Shape shape;
  const int rank = *rc::gen::inRange(1, kMaxRank + 1);
  for (int axis = 0; axis < rank; ++axis) shape.push_back(*rc::gen::inRange<std::int64_t>(0, 8));
  return shape;
}

std::size_t count_of(const Shape& shape) {
  std::size_t count = 1;
  for (std::int64_t size : shape) count *= static_cast<std::size_t>(size);
  return count;
}

RC_GTEST_PROP(RigProperties, ValuesComeBackRoundedOnceFromAnyShapeAndLayout, ()) {
  const Shape shape = any_shape();
  const DType dtype = *rc::gen::element(DType::kF32, DType::kF16, DType::kBF16);
  const Layout layout = *rc::gen::element(Layout::kContiguous, Layout::kStrided);
  const auto given = *rc::gen::container<std::vector<double>>(
      count_of(shape),
      rc::gen::map(rc::gen::inRange(-2000000, 2000000), [](int value) { return value / 977.0; }));
  Rig rig(1, nullptr);
  rig.input_values("x", dtype, shape, given, layout);
  rig.allow_writes(rig.view("x"));
  RC_ASSERT(rig.reset().ok());
  RC_ASSERT(rig.finish().ok());
  const std::vector<double> read = rig.read("x");
  RC_ASSERT(read.size() == given.size());
  RC_ASSERT(read == rig.values("x"));
  for (std::size_t i = 0; i < given.size(); ++i) RC_ASSERT(read[i] == round_to_dtype(dtype, given[i]));
}

RC_GTEST_PROP(RigProperties, AnOutputIsPoisonWhateverItsShapeAndLayout, ()) {
  const Shape shape = any_shape();
  Rig rig(1, nullptr);
  rig.output("y", *rc::gen::element(DType::kF32, DType::kF16, DType::kBF16), shape,
             *rc::gen::element(Layout::kContiguous, Layout::kStrided));
  RC_ASSERT(rig.reset().ok());
  RC_ASSERT(rig.finish().ok());
  for (double value : rig.read("y")) RC_ASSERT(std::isnan(value));
}

// The element after each row's last, and the one before the first, are nobody's.
RC_GTEST_PROP(RigProperties, AWriteBetweenTheRowsIsFound, ()) {
  const Shape shape{*rc::gen::inRange<std::int64_t>(2, 6), *rc::gen::inRange<std::int64_t>(1, 9)};
  Rig rig(1, nullptr);
  const TensorView view = rig.output("y", DType::kF32, shape, Layout::kStrided);
  RC_ASSERT(rig.reset().ok());
  const std::int64_t row = *rc::gen::inRange<std::int64_t>(0, shape[0] - 1);
  const std::int64_t gap = *rc::gen::inRange<std::int64_t>(0, view.strides[0] - shape[1]);
  const float stray = 1.0f;
  HIPFORGE_HIP_CHECK(hipMemcpy(view.as<float>() + row * view.strides[0] + shape[1] + gap, &stray,
                               sizeof stray, hipMemcpyHostToDevice));
  RC_ASSERT(!rig.finish().ok());
}

}  // namespace
}  // namespace hipforge::harness
