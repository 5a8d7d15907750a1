#include "kernels/linear.h"

#include "harness/sweep/large_cases.h"
#include "harness/sweep/metamorphic.h"

#include <algorithm>

namespace hipforge::harness {

Oracle<LinearParams> expect;

namespace {

// Rows together and apart: the same bits where that is promised, else within the bounds of both.
Judge batch_mates(Relation<LinearParams>& made, bool batch_invariant) {
  const std::int64_t rows = made.shape[0];
  const Shape y_shape{rows, made.shape[2]};
  LinearParams whole;
  whole.batch_invariant = batch_invariant;
  whole.x = made.input("x", {rows, made.shape[1]});
  whole.weight = made.input("weight", {made.shape[2], made.shape[1]});
  whole.bias = made.rig.input("bias", DType::kF32, {made.shape[2]});
  whole.y = made.output("together", y_shape);
  made.launch(whole);
  LinearParams apart = whole;
  apart.y = made.output("apart", y_shape);
  // One row alone, a few, many, the rest.
  std::int64_t first = 0;
  for (std::int64_t most : {1, 3, 40, 1000000}) {
    const std::int64_t count = std::min(most, rows - first);
    if (count > 0) made.launch(slice_operands(apart, {"x", "y"}, 0, first, count));
    first += count;
  }
  return [whole, target = made.target](const Rig& launched) {
    Agreement agreement{"rows together and apart", launched.read("together"), launched.read("apart"), {}};
    if (whole.batch_invariant) return std::vector{agreement};
    LinearParams invariant = whole;
    invariant.batch_invariant = true;
    agreement.bound.resize(agreement.left.size());
    for (const LinearParams& params : {whole, invariant}) {
      const std::vector<double> bound = oracle(launched, whole, target, params).front().expected.bound;
      for (std::size_t i = 0; i < bound.size(); ++i) agreement.bound[i] += bound[i];
    }
    return std::vector{agreement};
  };
}

}  // namespace

std::vector<Case> linear_metamorphic_cases(const OpLauncher<LinearParams>& launcher) {
  std::vector<Case> cases;
  for (const Form& form : forms("7x33x5 67x129x70! 130x72x64")) {
    for (bool invariant : {true, false}) {
      cases.push_back(relation_case(launcher, invariant ? "batch_mates" : "batch_mates_in_any_order", form,
                                    [=](auto& made) { return batch_mates(made, invariant); }));
    }
  }
  return cases;
}

}  // namespace hipforge::harness
