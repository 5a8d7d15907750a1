#pragma once

#include "harness/core/case.h"
#include "harness/sweep/case_table.h"

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

/// Cases of the sizes that GPUs are measured at. Their operands stay on the device; the oracle judges samples
/// of the output that are spread over all of it, and every element must be finite (no poison left anywhere).
/// Each carries the floor that the design asks of it.
namespace hipforge::harness {

/// `count` of 0 … size − 1, ascending: the first, the last, and a pseudo-random one out of each equal part
/// between; all of them where size <= count.
[[nodiscard]] std::vector<std::int64_t> spread(std::int64_t size, std::int64_t count, std::uint64_t seed);

/// Indices of an axis that are one distance apart.
struct Comb {
  std::int64_t first;
  std::int64_t count;
  std::int64_t step;
};
/// `count` combs of about `teeth` of 0 … size − 1 each: one index out of each of count · teeth equal parts,
/// and the first and the last; at most all of them.
[[nodiscard]] std::vector<Comb> combs(std::int64_t size, std::int64_t count, std::int64_t teeth,
                                      std::uint64_t seed);

/// Samples of the outputs of one launch, gathered part by part.
class SampledOutputs {
 public:
  /// What the oracle says of a part, a view into the contiguous output `whole`.
  void add(const OutputExpectation& part, const TensorView& whole);
  /// Compares the samples with what they must be, and every element of each output with NaN and infinity.
  /// Message and place name the element in the whole output. The verdict on the first output that is wrong,
  /// else on the worst.
  [[nodiscard]] Comparison judge(const Rig& rig) const;

 private:
  struct Output {
    std::string name;
    TensorView whole;
    std::vector<TensorView> parts;
    std::vector<std::int64_t> indices;  // row-major, into the whole
    Expected expected;
  };
  std::vector<Output> outputs_;
};

/// The launch of `count` indices of one axis, from `first` on and `step` apart, of the operands of these
/// names.
template <class Params>
[[nodiscard]] Params slice_operands(Params params, std::initializer_list<std::string_view> names,
                                    std::size_t axis, std::int64_t first, std::int64_t count = 1,
                                    std::int64_t step = 1) {
  for_each_operand(params, [&](const OperandRole& role, TensorView& view) {
    if (view.present() && std::find(names.begin(), names.end(), role.name) != names.end()) {
      view = slice_axis(view, axis, first, count, step);
    }
  });
  return params;
}

template <class Params>
[[nodiscard]] Params slice_operands(const Params& params, std::initializer_list<std::string_view> names,
                                    std::size_t axis, const Comb& comb) {
  return slice_operands(params, names, axis, comb.first, comb.count, comb.step);
}

/// One launch for each of `count` of the outermost indices that these operands share: the first, the last,
/// and a pseudo-random one out of each equal part between.
template <class Params>
[[nodiscard]] std::vector<Params> sample_rows(const Params& params,
                                              std::initializer_list<std::string_view> names,
                                              std::int64_t rows, std::int64_t count, std::uint64_t seed) {
  std::vector<Params> parts;
  for (std::int64_t row : spread(rows, count, seed)) parts.push_back(slice_operands(params, names, 0, row));
  return parts;
}

/// What a line of a table says of a large case beside its spec: what=NAME, the end of its id, share=X or
/// tflops=X, what a GPU must reach; shrink=SIZE+SIZE, the lengths that are divided where they are larger than
/// the divisor; and shape=SIZE+SIZE, those that the id says where they are not the op's. The line says it no
/// more.
struct LargeLine {
  explicit LargeLine(TableCase& row);

  std::string what;
  double share;
  double tflops;
  std::vector<std::string> shrink;
  std::vector<std::string> shape;
};

}  // namespace hipforge::harness
