#include "kernels/rope.h"

#include "harness/sweep/families.h"
#include "harness/sweep/metamorphic.h"
#include "kernels/runtime/check.h"

#include <cmath>

namespace hipforge::harness {

Oracle<RopeParams> expect;

namespace {

using Made = Relation<RopeParams>;

// Numbers, and how far each may be off.
struct Values {
  std::vector<double> value;
  std::vector<double> bound;
};

Values rotated(const RopeParams& params, const Rig& launched, const Target& target) {
  return {launched.now(params.y), oracle(launched, params, target, params).front().expected.bound};
}

Values product(const Values& left, const Values& right) {
  Values made = left;
  for (std::size_t i = 0; i < made.value.size(); ++i) {
    made.value[i] *= right.value[i];
    made.bound[i] = std::fabs(left.value[i]) * right.bound[i] + std::fabs(right.value[i]) * left.bound[i] +
                    left.bound[i] * right.bound[i];
  }
  return made;
}

// Σ over the rotated part of each head.
std::vector<double> sum_heads(const RopeParams& params, const std::vector<double>& terms) {
  const auto head_dim = static_cast<std::size_t>(params.x.shape[3]);
  std::vector<double> sums(terms.size() / head_dim);
  for (std::size_t at = 0; at < terms.size(); ++at) {
    if (at % head_dim < static_cast<std::size_t>(params.rotary_dim)) sums[at / head_dim] += terms[at];
  }
  return sums;
}

// What the launches of one case share, with frequencies in the rig.
RopeParams shared(Made& made) {
  const std::int64_t head_dim = made.shape[3];
  RopeParams params;
  params.style = made.options == "interleaved" ? RopeStyle::kInterleaved : RopeStyle::kHalfSplit;
  params.rotary_dim = head_dim == 80 ? 48 : head_dim;
  std::vector<float> inv_freq;
  throw_if_error(rope_frequencies({.rotary_dim = params.rotary_dim}, inv_freq, params.magnitude));
  params.magnitude = head_dim == 80 ? 1.25f : 1.0f;
  params.inv_freq = made.rig.input_values("inv_freq", DType::kF32, {params.rotary_dim / 2},
                                          std::vector<double>(inv_freq.begin(), inv_freq.end()));
  return params;
}

// Launches the rotation of x into an output of this name, at positions `first`, `first` + `step`, ...
RopeParams rotate(Made& made, RopeParams params, const TensorView& x, const std::string& y,
                  std::int64_t first, std::int64_t step) {
  const Shape seq{made.shape[1]};
  params.x = x;
  params.y = made.output(y, made.shape);
  const auto positions =
      values_of(seq, [=](std::int64_t s) { return static_cast<double>(first + s * step); });
  params.positions = made.rig.input_values("positions_of_" + y, DType::kI32, seq, positions);
  made.launch(params);
  return params;
}

std::int64_t shift_of(const Made& made) {
  return made.shape[3] == 128 ? 131072 : 1000;
}

Judge keeps_norms(Made& made) {
  const TensorView x = made.input("x", made.shape);
  const RopeParams params = rotate(made, shared(made), x, "y", shift_of(made), 3);
  return [params, target = made.target](const Rig& launched) {
    const Values y = rotated(params, launched, target);
    const auto [squares, bound] = product(y, y);
    const Values before{scaled(launched.before(params.x), static_cast<double>(params.magnitude)),
                        std::vector<double>(y.value.size())};
    return std::vector<Agreement>{{"|rope(x)|²", sum_heads(params, squares),
                                   sum_heads(params, product(before, before).value),
                                   sum_heads(params, bound)}};
  };
}

Judge relative_positions(Made& made) {
  const TensorView q = made.input("q", made.shape);
  const TensorView k = made.input("k", made.shape);
  const RopeParams params = shared(made);
  // Queries and keys at distances of their own, and both moved on.
  const std::vector all{rotate(made, params, q, "q_here", 40, 2), rotate(made, params, k, "k_here", 1, 3),
                        rotate(made, params, q, "q_moved", 40 + shift_of(made), 2),
                        rotate(made, params, k, "k_moved", 1 + shift_of(made), 3)};
  return [all, target = made.target](const Rig& launched) {
    const auto at = [&](std::size_t i) { return rotated(all[i], launched, target); };
    const Values here = product(at(0), at(1));
    const Values moved = product(at(2), at(3));
    std::vector<double> error = here.bound;
    for (std::size_t i = 0; i < error.size(); ++i) error[i] += moved.bound[i];
    return std::vector<Agreement>{{"rope(q) · rope(k)", sum_heads(all[0], here.value),
                                   sum_heads(all[0], moved.value), sum_heads(all[0], error)}};
  };
}

}  // namespace

std::vector<Case> rope_metamorphic_cases(const OpLauncher<RopeParams>& launcher) {
  std::vector<Case> cases;
  for (const Form& form : forms("1x5x3x16 2x7x2x80! 1x3x5x128 : interleaved ; half_split")) {
    cases.push_back(relation_case(launcher, "keeps_norms", form, keeps_norms));
    cases.push_back(relation_case(launcher, "relative_positions", form, relative_positions));
  }
  return cases;
}

}  // namespace hipforge::harness
