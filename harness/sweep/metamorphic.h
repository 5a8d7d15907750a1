#pragma once

#include "harness/core/case.h"
#include "harness/core/host_tensors.h"

#include <any>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace hipforge::harness {

// Checks that need no oracle: what several launches of an op on related inputs must have in common. They are
// cases like any other, with ids OP/DTYPE/LAYOUT/metamorphic/... Each op's stand in ops/OP.cpp, or
// ops/relations/OP.cpp where they are many.

/// What a relation launches: the op, or in a test one with a defect.
template <class Params>
using OpLauncher = std::function<Status(const Params&, hipStream_t, const Target&)>;
/// The metamorphic cases of an op, of that launcher.
template <class Params>
using Relations = std::vector<Case>(const OpLauncher<Params>& launcher);

/// An op's oracle: values and bounds of the outputs, of any params and the tensors that they had before the
/// launch. `whole` is the launch that `part` is a sample of, or `part` itself: on it depends which kernel
/// ran.
template <class Params>
using Oracle = std::vector<OutputExpectation>(const Params& part, const HostTensors& host,
                                              const Target& target, const Params& whole);

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

/// Every element times `factor`, or plus `term`.
[[nodiscard]] std::vector<double> scaled(std::vector<double> values, double factor);
[[nodiscard]] std::vector<double> shifted(std::vector<double> values, double term);

/// The values of sequences in a cache's pages: the i-th page of all of them at order[i], NaN where nothing
/// lies.
[[nodiscard]] std::vector<double> in_pages(const std::vector<std::span<const double>>& sequences,
                                           std::int64_t page_elements,
                                           const std::vector<std::int64_t>& order);

/// What the cases of a relation differ in.
struct Form {
  DType dtype = DType::kF32;
  Layout layout = Layout::kContiguous;
  Shape shape{};
  std::string options{};  ///< what the id says after the relation
  bool quick = false;
};
/// Those of f32, f16 and bf16, both layouts and each case of a table (harness/sweep/case_table.h), whose
/// words are options.
[[nodiscard]] std::vector<Form> forms(std::string_view table);

/// A case of a relation, which becomes its feature.
[[nodiscard]] Case metamorphic_case(const std::string& op, const std::string& relation, const Form& form,
                                    const std::string& layout,
                                    std::function<PreparedCase(const CaseEnvironment&)> prepare);

/// Takes the cases into a suite, their relations among its features.
void add_metamorphic(OpSuite& suite, std::vector<Case> cases);

/// An op's relations as cases of its suite.
template <class Params>
void add_relations(OpSuite& suite, Status (*launch)(const Params&, hipStream_t, const Target&),
                   Relations<Params>* relations) {
  add_metamorphic(suite, relations(launch));
  suite.relations = [relations](const std::any& launcher) {
    return relations(std::any_cast<const OpLauncher<Params>&>(launcher));
  };
}

/// What gets the agreements out of the rig after the launches.
using Judge = std::function<std::vector<Agreement>(const Rig& launched)>;

/// What a relation is made of: operands of the form's dtype and layout, and launches in order.
template <class Params>
struct Relation : Form {
  Rig& rig;
  Target target;
  std::vector<Params> launches{};

  void launch(const Params& params) { launches.push_back(params); }
  [[nodiscard]] TensorView input(const std::string& name, const Shape& of, Family family = Family::kNormal,
                                 double scale = 1.0) {
    return rig.input(name, dtype, of, family, scale, layout);
  }
  [[nodiscard]] TensorView input(const std::string& name, const Shape& of,
                                 const std::vector<double>& values) {
    return rig.input_values(name, dtype, of, values, layout);
  }
  [[nodiscard]] TensorView output(const std::string& name, const Shape& of) {
    return rig.output(name, dtype, of, layout);
  }
};
template <class Params>
using Prepare = std::function<Judge(Relation<Params>&)>;

/// The oracle's word on a launch of a relation, or on one of another `whole`.
template <class Params>
[[nodiscard]] std::vector<OutputExpectation> oracle(const Rig& launched, const Params& params,
                                                    const Target& target, const Params& whole) {
  const HostTensors host(params, [&](const TensorView& view) { return launched.before(view); });
  return expect(params, host, target, whole);
}

/// A metamorphic_case of `launcher`, or of the environment's candidate where it has one. Its layout is the
/// form's, or of a name of its own.
template <class Params>
[[nodiscard]] Case relation_case(const OpLauncher<Params>& launcher, const std::string& relation,
                                 const Form& form, const std::type_identity_t<Prepare<Params>>& prepare,
                                 const std::string& layout = "") {
  const auto prepare_case = [=](const CaseEnvironment& environment) {
    PreparedCase prepared;
    prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
    Relation<Params> made{form, *prepared.rig, environment.target};
    prepared.judge = [agreements = prepare(made)](const Rig& launched) {
      return judge_agreements(agreements(launched));
    };
    prepared.launch = [launcher, launches = std::move(made.launches), target = environment.target,
                       candidate = environment.candidate](hipStream_t stream) {
      Status status;
      for (const Params& params : launches) {
        const auto own = [&](hipStream_t on) { return launcher(params, on, target); };
        status = candidate == nullptr ? own(stream) : candidate->launch(params, own, stream);
        if (!status.ok()) break;
      }
      return status;
    };
    return prepared;
  };
  return metamorphic_case(op_name(Params{}), relation, form,
                          layout.empty() ? layout_name(form.layout) : layout, prepare_case);
}

}  // namespace hipforge::harness
