#include "harness/ops/rope.h"
#include "harness/sweep/metamorphic.h"
#include "kernels/runtime/check.h"

#include <cmath>

namespace hipforge::harness {
namespace {

struct Spec {
  Shape shape;  // batch, seq, heads, head_dim
  std::int64_t rotary_dim;
  DType dtype;
  Layout layout;
  RopeStyle style;
  float magnitude;
  std::int64_t shift;
};

struct Rotated {
  const char* x;
  const char* y;
  std::int64_t first;  // position of the first token
  std::int64_t step;
};

std::vector<double> positions_of(const Spec& spec, const Rotated& rotated) {
  std::vector<double> positions;
  for (std::int64_t s = 0; s < spec.shape[1]; ++s) {
    positions.push_back(static_cast<double>(rotated.first + s * rotated.step));
  }
  return positions;
}

TensorView frequencies(const Spec& spec, Rig& rig) {
  RopeFrequencyParams wanted;
  wanted.rotary_dim = spec.rotary_dim;
  std::vector<float> inv_freq;
  float magnitude = 0.0f;
  throw_if_error(rope_frequencies(wanted, inv_freq, magnitude));
  const std::vector<double> values(inv_freq.begin(), inv_freq.end());
  return rig.input_values("inv_freq", DType::kF32, {spec.rotary_dim / 2}, values);
}

std::string positions_name(const Rotated& rotated) {
  return std::string("positions_of_") + rotated.y;
}

// The launch of one rotation, its operands made.
std::function<Status(hipStream_t)> rotate(const Spec& spec, const Rotated& rotated,
                                          const TensorView& inv_freq, Rig& rig,
                                          const Launcher<RopeParams>& launcher) {
  RopeParams params;
  params.style = spec.style;
  params.rotary_dim = spec.rotary_dim;
  params.magnitude = spec.magnitude;
  params.inv_freq = inv_freq;
  params.x = rig.view(rotated.x);
  params.y = rig.output(rotated.y, spec.dtype, spec.shape, spec.layout);
  params.positions =
      rig.input_values(positions_name(rotated), DType::kI32, {spec.shape[1]}, positions_of(spec, rotated));
  return [=](hipStream_t stream) { return launcher(params, stream); };
}

std::vector<double> bound_of(const Spec& spec, const Rotated& rotated, const Rig& rig, const Target& target) {
  RopeInputs inputs;
  inputs.x = rig.values(rotated.x);
  inputs.positions = rig.values(positions_name(rotated));
  inputs.inv_freq = rig.values("inv_freq");
  inputs.sizes = {spec.shape[0], spec.shape[1], spec.shape[2], spec.shape[3], spec.rotary_dim};
  inputs.style = spec.style;
  inputs.magnitude = static_cast<double>(spec.magnitude);
  inputs.dtype = spec.dtype;
  return rope_expected(inputs, target).bound;
}

// Σ over the rotated part of each head.
template <class Term>
std::vector<double> sum_heads(const Spec& spec, std::size_t elements, const Term& term) {
  std::vector<double> sums;
  for (std::size_t first = 0; first < elements; first += static_cast<std::size_t>(spec.shape[3])) {
    double sum = 0.0;
    for (std::size_t at = first; at < first + static_cast<std::size_t>(spec.rotary_dim); ++at)
      sum += term(at);
    sums.push_back(sum);
  }
  return sums;
}

PreparedCase prepare_norm(const Spec& spec, const CaseEnvironment& environment,
                          const Launcher<RopeParams>& launcher) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
  Rig& rig = *prepared.rig;
  rig.input("x", spec.dtype, spec.shape, Family::kNormal, 1.0, spec.layout);
  const Rotated rotated{"x", "y", spec.shift, 3};
  prepared.launch = rotate(spec, rotated, frequencies(spec, rig), rig, launcher);
  prepared.judge = [spec, rotated, target = environment.target](const Rig& launched) {
    const std::vector<double>& x = launched.values("x");
    const std::vector<double> y = launched.read("y");
    const std::vector<double> e = bound_of(spec, rotated, launched, target);
    const double squared = static_cast<double>(spec.magnitude) * static_cast<double>(spec.magnitude);
    return judge_agreements(
        {{"|rope(x)|²", sum_heads(spec, y.size(), [&](std::size_t i) { return y[i] * y[i]; }),
          sum_heads(spec, y.size(), [&](std::size_t i) { return squared * x[i] * x[i]; }),
          sum_heads(spec, y.size(),
                    [&](std::size_t i) { return 2.0 * std::fabs(y[i]) * e[i] + e[i] * e[i]; })}});
  };
  return prepared;
}

PreparedCase prepare_relative(const Spec& spec, const CaseEnvironment& environment,
                              const Launcher<RopeParams>& launcher) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
  Rig& rig = *prepared.rig;
  rig.input("q", spec.dtype, spec.shape, Family::kNormal, 1.0, spec.layout);
  rig.input("k", spec.dtype, spec.shape, Family::kNormal, 1.0, spec.layout);
  const TensorView inv_freq = frequencies(spec, rig);
  // Queries and keys at distances of their own, and both moved on.
  const Rotated all[] = {{"q", "q_here", 40, 2},
                         {"k", "k_here", 1, 3},
                         {"q", "q_moved", 40 + spec.shift, 2},
                         {"k", "k_moved", 1 + spec.shift, 3}};
  std::vector<std::function<Status(hipStream_t)>> launches;
  for (const Rotated& rotated : all) launches.push_back(rotate(spec, rotated, inv_freq, rig, launcher));
  prepared.launch = launch_all(std::move(launches));
  const std::vector<Rotated> rotations(std::begin(all), std::end(all));
  prepared.judge = [spec, rotations, target = environment.target](const Rig& launched) {
    std::vector<std::vector<double>> y;
    std::vector<std::vector<double>> e;
    for (const Rotated& rotated : rotations) {
      y.push_back(launched.read(rotated.y));
      e.push_back(bound_of(spec, rotated, launched, target));
    }
    const auto dot = [&](std::size_t q) {
      return sum_heads(spec, y[q].size(), [&](std::size_t i) { return y[q][i] * y[q + 1][i]; });
    };
    return judge_agreements(
        {{"rope(q) · rope(k)", dot(0), dot(2), sum_heads(spec, y[0].size(), [&](std::size_t i) {
            double error = 0.0;
            for (std::size_t q : {std::size_t{0}, std::size_t{2}}) {
              error +=
                  std::fabs(y[q][i]) * e[q + 1][i] + std::fabs(y[q + 1][i]) * e[q][i] + e[q][i] * e[q + 1][i];
            }
            return error;
          })}});
  };
  return prepared;
}

}  // namespace

std::vector<Case> rope_metamorphic_cases(const OpLauncher<RopeParams>& launcher) {
  std::vector<Case> cases;
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (Layout layout : {Layout::kContiguous, Layout::kStrided}) {
      std::size_t turn = 0;
      for (const auto& [shape, rotary_dim] :
           {std::pair{Shape{1, 5, 3, 16}, 16}, std::pair{Shape{2, 7, 2, 80}, 48},
            std::pair{Shape{1, 3, 5, 128}, 128}}) {
        Spec spec{shape, rotary_dim, dtype, layout, RopeStyle::kInterleaved, 1.0f, 1000};
        if (turn == 1) spec.magnitude = 1.25f;
        if (turn == 2) spec.shift = 131072;
        for (RopeStyle style : {RopeStyle::kInterleaved, RopeStyle::kHalfSplit}) {
          spec.style = style;
          const std::string options = style == RopeStyle::kInterleaved ? "interleaved" : "half_split";
          const bool quick = turn == 1;
          cases.push_back(metamorphic_case("rope", dtype, layout_name(layout), "keeps_norms", shape, options,
                                           quick, [=](const CaseEnvironment& environment) {
                                             return prepare_norm(spec, environment,
                                                                 launcher_of(environment, launcher));
                                           }));
          cases.push_back(metamorphic_case("rope", dtype, layout_name(layout), "relative_positions", shape,
                                           options, quick, [=](const CaseEnvironment& environment) {
                                             return prepare_relative(spec, environment,
                                                                     launcher_of(environment, launcher));
                                           }));
        }
        ++turn;
      }
    }
  }
  return cases;
}

}  // namespace hipforge::harness
