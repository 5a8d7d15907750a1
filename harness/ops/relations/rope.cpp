#include "harness/ops/rope.h"

#include "kernels/runtime/check.h"

#include <cmath>

namespace hipforge::harness {
namespace {

// What a launch gave, and how far each element may be off.
struct Rotated {
  std::vector<double> y;
  std::vector<double> bound;
};

Rotated rotated(const RopeParams& params, const Rig& launched, const Target& target) {
  const HostTensors host(params, [&](const TensorView& view) { return launched.before(view); });
  return {launched.now(params.y), expect(params, host, target, params).front().expected.bound};
}

// What the launches of one case share.
struct Form {
  RopeParams params;
  DType dtype;
  Layout layout;
  Shape shape;  // batch, seq, heads, head_dim
  std::int64_t shift;

  TensorView input(const std::string& name, Rig& rig) const {
    return rig.input(name, dtype, shape, Family::kNormal, 1.0, layout);
  }

  void make_frequencies(Rig& rig) {
    RopeFrequencyParams wanted;
    wanted.rotary_dim = params.rotary_dim;
    std::vector<float> inv_freq;
    float magnitude = 0.0f;
    throw_if_error(rope_frequencies(wanted, inv_freq, magnitude));
    const std::vector<double> values(inv_freq.begin(), inv_freq.end());
    params.inv_freq = rig.input_values("inv_freq", DType::kF32, {params.rotary_dim / 2}, values);
  }

  // Launches the rotation of x into an output of this name, at positions `first`, `first` + `step`, ...
  RopeParams rotate(Relation<RopeParams>& relation, const TensorView& x, const std::string& y,
                    std::int64_t first, std::int64_t step) const {
    std::vector<double> positions;
    for (std::int64_t s = 0; s < shape[1]; ++s) positions.push_back(static_cast<double>(first + s * step));
    RopeParams made = params;
    made.x = x;
    made.y = relation.rig.output(y, dtype, shape, layout);
    made.positions = relation.rig.input_values("positions_of_" + y, DType::kI32, {shape[1]}, positions);
    relation.launch(made);
    return made;
  }
};

// Σ over the rotated part of each head.
template <class Term>
std::vector<double> sum_heads(const RopeParams& params, const Term& term) {
  const auto head_dim = static_cast<std::size_t>(params.x.shape[3]);
  const auto elements = static_cast<std::size_t>(params.x.numel());
  std::vector<double> sums;
  for (std::size_t first = 0; first < elements; first += head_dim) {
    double sum = 0.0;
    for (std::size_t at = first; at < first + static_cast<std::size_t>(params.rotary_dim); ++at) {
      sum += term(at);
    }
    sums.push_back(sum);
  }
  return sums;
}

}  // namespace

std::vector<Case> rope_metamorphic_cases(const OpLauncher<RopeParams>& launcher) {
  std::vector<Case> cases;
  const auto add = [&](const Form& wanted) {
    const auto keeps_norms = [=](Relation<RopeParams>& relation) {
      Form form = wanted;
      const TensorView x = form.input("x", relation.rig);
      form.make_frequencies(relation.rig);
      const RopeParams params = form.rotate(relation, x, "y", form.shift, 3);
      return [params, target = relation.target](const Rig& launched) {
        const std::vector<double> before = launched.before(params.x);
        const auto [y, e] = rotated(params, launched, target);
        const double squared = static_cast<double>(params.magnitude) * static_cast<double>(params.magnitude);
        return std::vector<Agreement>{
            {"|rope(x)|²", sum_heads(params, [&, &y = y](std::size_t i) { return y[i] * y[i]; }),
             sum_heads(params, [&](std::size_t i) { return squared * before[i] * before[i]; }),
             sum_heads(params, [&, &y = y, &e = e](std::size_t i) {
               return 2.0 * std::fabs(y[i]) * e[i] + e[i] * e[i];
             })}};
      };
    };
    const auto relative_positions = [=](Relation<RopeParams>& relation) {
      Form form = wanted;
      const TensorView q = form.input("q", relation.rig);
      const TensorView k = form.input("k", relation.rig);
      form.make_frequencies(relation.rig);
      // Queries and keys at distances of their own, and both moved on.
      const std::vector all{form.rotate(relation, q, "q_here", 40, 2),
                            form.rotate(relation, k, "k_here", 1, 3),
                            form.rotate(relation, q, "q_moved", 40 + form.shift, 2),
                            form.rotate(relation, k, "k_moved", 1 + form.shift, 3)};
      return [all, target = relation.target](const Rig& launched) {
        std::vector<Rotated> at;
        for (const RopeParams& params : all) at.push_back(rotated(params, launched, target));
        const auto dot = [&](std::size_t one) {
          return sum_heads(all[one], [&](std::size_t i) { return at[one].y[i] * at[one + 1].y[i]; });
        };
        const auto error = [&](std::size_t i) {
          double sum = 0.0;
          for (std::size_t one : {std::size_t{0}, std::size_t{2}}) {
            const Rotated& left = at[one];
            const Rotated& right = at[one + 1];
            sum += std::fabs(left.y[i]) * right.bound[i] + std::fabs(right.y[i]) * left.bound[i] +
                   left.bound[i] * right.bound[i];
          }
          return sum;
        };
        return std::vector<Agreement>{{"rope(q) · rope(k)", dot(0), dot(2), sum_heads(all[0], error)}};
      };
    };
    const std::string style = wanted.params.style == RopeStyle::kInterleaved ? "interleaved" : "half_split";
    const bool quick = wanted.shape[0] == 2;
    cases.push_back(relation_case(launcher, wanted.dtype, wanted.layout, "keeps_norms", wanted.shape, style,
                                  quick, keeps_norms));
    cases.push_back(relation_case(launcher, wanted.dtype, wanted.layout, "relative_positions", wanted.shape,
                                  style, quick, relative_positions));
  };
  for_each_form({{1, 5, 3, 16}, {2, 7, 2, 80}, {1, 3, 5, 128}},
                [&](DType dtype, Layout layout, const Shape& shape) {
                  for (RopeStyle style : {RopeStyle::kInterleaved, RopeStyle::kHalfSplit}) {
                    Form form{{}, dtype, layout, shape, shape[3] == 128 ? 131072 : 1000};
                    form.params.style = style;
                    form.params.rotary_dim = shape[3] == 80 ? 48 : shape[3];
                    form.params.magnitude = shape[3] == 80 ? 1.25f : 1.0f;
                    add(form);
                  }
                });
  return cases;
}

}  // namespace hipforge::harness
