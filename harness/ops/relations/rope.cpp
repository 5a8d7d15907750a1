#include "harness/ops/rope.h"

#include "harness/sweep/families.h"
#include "kernels/runtime/check.h"

#include <cmath>

namespace hipforge::harness {
namespace {

// Numbers, and how far each may be off.
struct Values {
  std::vector<double> value;
  std::vector<double> bound;
};

Values rotated(const RopeParams& params, const Rig& launched, const Target& target) {
  const HostTensors host(params, [&](const TensorView& view) { return launched.before(view); });
  return {launched.now(params.y), expect(params, host, target, params).front().expected.bound};
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

  // Launches the rotation of x into an output of this name, at positions `first`, `first` + `step`, ...
  RopeParams rotate(Relation<RopeParams>& relation, const TensorView& x, const std::string& y,
                    std::int64_t first, std::int64_t step) const {
    RopeParams made = params;
    made.x = x;
    made.y = relation.rig.output(y, dtype, shape, layout);
    const auto positions =
        values_of({shape[1]}, [=](std::int64_t s) { return static_cast<double>(first + s * step); });
    made.positions = relation.rig.input_values("positions_of_" + y, DType::kI32, {shape[1]}, positions);
    relation.launch(made);
    return made;
  }
};

// `form` with frequencies in the rig.
Form with_frequencies(Form form, Rig& rig) {
  std::vector<float> inv_freq;
  float magnitude = 0.0f;
  throw_if_error(rope_frequencies({.rotary_dim = form.params.rotary_dim}, inv_freq, magnitude));
  form.params.inv_freq = rig.input_values("inv_freq", DType::kF32, {form.params.rotary_dim / 2},
                                          std::vector<double>(inv_freq.begin(), inv_freq.end()));
  return form;
}

}  // namespace

std::vector<Case> rope_metamorphic_cases(const OpLauncher<RopeParams>& launcher) {
  std::vector<Case> cases;
  const auto add = [&](const Form& wanted) {
    const auto keeps_norms = [=](Relation<RopeParams>& relation) {
      const TensorView x = wanted.input("x", relation.rig);
      const Form form = with_frequencies(wanted, relation.rig);
      return [params = form.rotate(relation, x, "y", form.shift, 3),
              target = relation.target](const Rig& launched) {
        const Values y = rotated(params, launched, target);
        const auto [squares, bound] = product(y, y);
        const Values before{scaled(launched.before(params.x), static_cast<double>(params.magnitude)),
                            std::vector<double>(y.value.size())};
        return std::vector<Agreement>{{"|rope(x)|²", sum_heads(params, squares),
                                       sum_heads(params, product(before, before).value),
                                       sum_heads(params, bound)}};
      };
    };
    const auto relative_positions = [=](Relation<RopeParams>& relation) {
      const TensorView q = wanted.input("q", relation.rig);
      const TensorView k = wanted.input("k", relation.rig);
      const Form form = with_frequencies(wanted, relation.rig);
      // Queries and keys at distances of their own, and both moved on.
      const std::vector all{form.rotate(relation, q, "q_here", 40, 2),
                            form.rotate(relation, k, "k_here", 1, 3),
                            form.rotate(relation, q, "q_moved", 40 + form.shift, 2),
                            form.rotate(relation, k, "k_moved", 1 + form.shift, 3)};
      return [all, target = relation.target](const Rig& launched) {
        const auto at = [&](std::size_t i) { return rotated(all[i], launched, target); };
        const Values here = product(at(0), at(1));
        const Values moved = product(at(2), at(3));
        std::vector<double> error = here.bound;
        for (std::size_t i = 0; i < error.size(); ++i) error[i] += moved.bound[i];
        return std::vector<Agreement>{{"rope(q) · rope(k)", sum_heads(all[0], here.value),
                                       sum_heads(all[0], moved.value), sum_heads(all[0], error)}};
      };
    };
    const std::string style = wanted.params.style == RopeStyle::kInterleaved ? "interleaved" : "half_split";
    const auto add_relation = [&](const char* name, const auto& prepare) {
      cases.push_back(relation_case(launcher, wanted.dtype, wanted.layout, name, wanted.shape, style,
                                    wanted.shape[0] == 2, prepare));
    };
    add_relation("keeps_norms", keeps_norms);
    add_relation("relative_positions", relative_positions);
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
