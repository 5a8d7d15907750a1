#pragma once

#include "harness/core/case.h"

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace hipforge::harness {

// Checks that need no oracle: what several launches of an op on related inputs must have in common. They are
// cases like any other, with ids OP/DTYPE/LAYOUT/metamorphic/... Each op's stand in ops/relations/OP.cpp.

/// What a relation launches: the op, or in a test one with a defect.
template <class Params>
using OpLauncher = std::function<Status(const Params&, hipStream_t, const Target&)>;
/// The same, for the target of an environment.
template <class Params>
using Launcher = std::function<Status(const Params&, hipStream_t)>;

/// `own`, or the environment's candidate where it has one.
template <class Params>
[[nodiscard]] Launcher<Params> launcher_of(const CaseEnvironment& environment,
                                           const OpLauncher<Params>& own) {
  return [candidate = environment.candidate, own, target = environment.target](const Params& params,
                                                                               hipStream_t stream) {
    const auto launch = [&](hipStream_t on) { return own(params, on, target); };
    return candidate == nullptr ? launch(stream) : candidate->launch(params, launch, stream);
  };
}

/// Two outputs that must agree, element by element.
struct Agreement {
  std::string what;  ///< "row 4, decoded", for messages
  std::vector<double> left;
  std::vector<double> right;
  /// How far they may be apart: both outputs' bounds together. Empty: not a bit, zeros' signs included.
  std::vector<double> bound;
};

/// Whether all agree; worst_share as of a comparison with an oracle.
[[nodiscard]] Comparison judge_agreements(const std::vector<Agreement>& agreements);

/// `count` indices of an axis of row-major values of this shape.
[[nodiscard]] std::vector<double> slice_axis(const std::vector<double>& values, const Shape& shape,
                                             std::size_t axis, std::int64_t first, std::int64_t count);

/// Every element times `factor`, or plus `term`.
[[nodiscard]] std::vector<double> scaled(std::vector<double> values, double factor);
[[nodiscard]] std::vector<double> shifted(std::vector<double> values, double term);

/// A case of a relation, which becomes its feature. `sizes` name its shape.
[[nodiscard]] Case metamorphic_case(const std::string& op, DType dtype, const std::string& layout,
                                    const std::string& relation, const Shape& shape,
                                    const std::string& options, bool quick,
                                    std::function<PreparedCase(const CaseEnvironment&)> prepare);

/// Takes the cases into a suite, their relations among its features.
void add_metamorphic(OpSuite& suite, std::vector<Case> cases);

/// Launches in order; the first failure ends it.
[[nodiscard]] std::function<Status(hipStream_t)> launch_all(
    std::vector<std::function<Status(hipStream_t)>> launches);

/// What a relation is made of: operands, and launches in order.
template <class Params>
struct Relation {
  Rig& rig;
  Target target;
  Launcher<Params> launcher;
  std::vector<std::function<Status(hipStream_t)>> launches{};

  void launch(const Params& params) {
    launches.emplace_back([params, own = launcher](hipStream_t stream) { return own(params, stream); });
  }
};

/// `prepare` takes a Relation<Params>& and returns what gets the agreements out of the rig after the
/// launches.
template <class Params, class Prepare>
[[nodiscard]] PreparedCase prepare_relation(const CaseEnvironment& environment,
                                            const OpLauncher<Params>& launcher, const Prepare& prepare) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
  Relation<Params> made{*prepared.rig, environment.target, launcher_of(environment, launcher)};
  prepared.judge = [agreements = prepare(made)](const Rig& launched) {
    return judge_agreements(agreements(launched));
  };
  prepared.launch = launch_all(std::move(made.launches));
  return prepared;
}

/// A metamorphic_case of `launcher`.
template <class Params, class Prepare>
[[nodiscard]] Case relation_case(const OpLauncher<Params>& launcher, DType dtype, Layout layout,
                                 const std::string& relation, const Shape& shape, const std::string& options,
                                 bool quick, Prepare prepare) {
  return metamorphic_case(
      op_name(Params{}), dtype, layout_name(layout), relation, shape, options, quick,
      [=](const CaseEnvironment& environment) { return prepare_relation(environment, launcher, prepare); });
}

/// Calls visit(dtype, layout, shape) for f32, f16 and bf16, both layouts and these shapes.
template <class Visit>
void for_each_form(std::initializer_list<Shape> shapes, Visit&& visit) {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (Layout layout : {Layout::kContiguous, Layout::kStrided}) {
      for (const Shape& shape : shapes) visit(dtype, layout, shape);
    }
  }
}

}  // namespace hipforge::harness
