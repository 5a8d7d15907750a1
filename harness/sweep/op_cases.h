#pragma once

#include "harness/core/case.h"
#include "harness/core/host_tensors.h"
#include "harness/sweep/fields.h"
#include "harness/sweep/large_cases.h"
#include "harness/sweep/metamorphic.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace hipforge::harness {

/// What a launch costs at least, for a bench.
struct Work {
  std::int64_t flops = 0;
  Ceiling ceiling = Ceiling::kCopy;
  std::optional<std::int64_t> bytes{};  ///< where the op gathers, pages or masks: not moved_bytes()
};

/// What the harness must know of an op to make its cases: each fact once.
template <class Spec, class Params>
struct OpCases {
  Status (*launch)(const Params&, hipStream_t, const Target&);
  const Fields<Spec>& (*fields)();
  /// The only maker of the op's params: its operands in a rig.
  Params (*make)(const Spec&, Rig&);
  Work (*work)(const Spec&, const Params&);
  /// Launches of parts of the operands whose outputs stand for all of a large one's; null: there are no large
  /// cases.
  std::vector<Params> (*samples)(const Params&, std::uint64_t seed) = nullptr;
};

/// An output that must be equal to these values.
[[nodiscard]] inline OutputExpectation exactly(const char* output, const TensorView& view,
                                               std::vector<double> values) {
  std::vector<double> zeros(values.size());
  return {output, {view.dtype, shape_of(view), std::move(values), std::move(zeros)}};
}

/// The oracle's word on a launch, each output with the place where it lies.
template <class Params>
[[nodiscard]] std::vector<OutputExpectation> expectations(const Params& part, const HostTensors::Fetch& fetch,
                                                          const Target& target, const Params& whole) {
  std::vector<OutputExpectation> outputs = expect(part, HostTensors(part, fetch), target, whole);
  for (OutputExpectation& output : outputs) {
    for_each_operand(part, [&](const OperandRole& role, const TensorView& view) {
      if (output.output == role.name) output.view = view;
    });
  }
  return outputs;
}

/// A case with its operands made and its launch and oracle bound to them.
template <class Spec, class Params>
[[nodiscard]] PreparedCase prepare_case(const OpCases<Spec, Params>& op, const Spec& spec,
                                        const CaseEnvironment& environment,
                                        HostCopy host_copy = HostCopy::kAll) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream, host_copy);
  Rig* const rig = prepared.rig.get();
  const Params params = op.make(spec, *rig);
  for_each_operand(params, [&](const OperandRole& role, const TensorView& view) {
    if (role.out() && view.present()) rig->allow_writes(view);
  });
  const Work work = op.work(spec, params);
  prepared.bytes = work.bytes.value_or(moved_bytes(params));
  prepared.flops = work.flops;
  prepared.ceiling = work.ceiling;
  prepared.params = params;
  prepared.launch = [params, launch = op.launch, target = environment.target](hipStream_t stream) {
    return launch(params, stream, target);
  };
  const auto before = [rig](const TensorView& view) { return rig->before(view); };
  if (host_copy == HostCopy::kAll) {
    prepared.expect = [params, before, target = environment.target] {
      return expectations(params, before, target, params);
    };
    return prepared;
  }
  prepared.judge = [params, before, samples = op.samples, target = environment.target,
                    seed = environment.seed](const Rig& judged) {
    SampledOutputs sampled;
    for (const Params& part : samples(params, seed)) {
      for (const OutputExpectation& output : expectations(part, before, target, params)) {
        sampled.add(output, judged.view(output.output));
      }
    }
    return sampled.judge(judged);
  };
  return prepared;
}

/// The case of a spec, with its variants.
template <class Spec, class Params>
[[nodiscard]] Case make_case(const OpCases<Spec, Params>& op, const Spec& spec) {
  Case test = op.fields().describe(op_name(Params{}), spec);
  test.prepare = [&op, spec](const CaseEnvironment& environment) {
    return prepare_case(op, spec, environment);
  };
  test.variants = op.fields().variants(spec, [&op](const Spec& changed) { return make_case(op, changed); });
  return test;
}

/// What the cases of a suite are made of, for each of its dtypes and layouts.
template <class Spec, class Params>
struct Sweep {
  std::string_view cases;  ///< a table (harness/sweep/case_table.h)
  std::string_view edge;   ///< one case of a table, to be given each size around an edge that no other has
  std::string_view bench;  ///< a table, of contiguous tensors
  std::function<void(Spec&)> settle = [](Spec&) {};  ///< after the words of a table: what it does not say
  std::string_view more{};                           ///< a table of cases that stand for no edge
  std::string_view large{};                          ///< a table (harness/sweep/large_cases.h)
  Relations<Params>* relations = nullptr;            ///< null: there are none
};

/// Appends the cases of a table. One that two lines say, since a dtype makes them the same, is there once.
template <class Spec, class Params, class Settle>
void add_cases(std::vector<Case>& cases, const OpCases<Spec, Params>& op, std::string_view table,
               const std::type_identity_t<Spec>& base, Settle&& settle, std::size_t& turn) {
  std::set<std::string> ids;
  for (Spec& spec : op.fields().expand(table, base, turn)) {
    settle(spec);
    Case test = make_case(op, spec);
    if (ids.insert(test.id).second) cases.push_back(std::move(test));
  }
}

/// What makes the large cases of a table (harness/sweep/large_cases.h), OP/DTYPE/large/SHAPE/WHAT.
template <class Spec, class Params>
[[nodiscard]] std::function<std::vector<Case>(std::int64_t)> large_sweep(const OpCases<Spec, Params>& op,
                                                                         std::string_view table) {
  return [&op, table](std::int64_t divisor) {
    const Fields<Spec>& fields = op.fields();
    std::vector<Case> cases;
    for (DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
      std::size_t turn = 0;
      for (TableCase& row : read_case_table(table, turn, {dtype_name(dtype)})) {
        const LargeLine line(row);
        Spec spec = fields.of_form(dtype, Layout::kContiguous);
        fields.set(spec, row);
        for (const std::string& name : line.shrink) {
          const std::int64_t size = fields.size_of(spec, name);
          if (size > divisor) fields.resize(spec, name, size / divisor);
        }
        Case& test = cases.emplace_back();
        test.op = op_name(Params{});
        test.dtype = dtype;
        test.layout = layout_name(Layout::kContiguous);
        Shape shape;
        for (const std::string& name : line.shape) shape.push_back(fields.size_of(spec, name));
        test.shape = shape.empty() ? fields.describe(test.op, spec).shape : shape_name(shape);
        test.id = fmt::format("{}/{}/large/{}/{}", test.op, dtype_name(dtype), test.shape, line.what);
        test.floor_share = line.share;
        test.floor_tflops = line.tflops;
        test.prepare = [&op, spec](const CaseEnvironment& environment) {
          return prepare_case(op, spec, environment, HostCopy::kNone);
        };
      }
    }
    return cases;
  };
}

template <class Spec, class Params>
void fill_suite(OpSuite& suite, const OpCases<Spec, Params>& op, const Sweep<Spec, Params>& sweep) {
  for (DType dtype : suite.dtypes) {
    const auto add = [&](std::vector<Case>& cases, std::string_view table, Layout layout, std::size_t& turn) {
      add_cases(cases, op, table, op.fields().of_form(dtype, layout), sweep.settle, turn);
    };
    for (Layout layout : {Layout::kContiguous, Layout::kStrided}) {
      std::size_t turn = 0;
      add(suite.cases, sweep.cases, layout, turn);
      fill_edges(suite, dtype, layout_name(layout), [&](const std::string& dimension, std::int64_t size) {
        Spec spec = op.fields().expand(sweep.edge, op.fields().of_form(dtype, layout), turn).front();
        op.fields().resize(spec, dimension, size);
        sweep.settle(spec);
        return make_case(op, spec);
      });
      add(suite.cases, sweep.more, layout, turn);
    }
    std::size_t turn = 0;
    add(suite.bench_cases, sweep.bench, Layout::kContiguous, turn);
  }
  if (sweep.relations != nullptr) add_relations(suite, op.launch, sweep.relations);
  if (!sweep.large.empty()) suite.large_cases = large_sweep(op, sweep.large);
}

/// The params as hipforge_candidate.h has them: its tensors in the order of for_each_operand, then its
/// scalars, flags and enumerations as int32_t.
class CandidateStruct {
 public:
  template <class Params>
  explicit CandidateStruct(const Params& params) {
    for_each_operand(params, [&](const OperandRole&, const TensorView& view) { put_tensor(view); });
    for_each_scalar(params, [&](const char*, const auto& value) {
      using T = std::remove_cvref_t<decltype(value)>;
      if constexpr (std::is_enum_v<T> || std::is_same_v<T, bool>) {
        put(static_cast<std::int32_t>(value));
      } else {
        put(value);
      }
    });
    align(alignof(std::int64_t));
  }
  [[nodiscard]] const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  void align(std::size_t to) { bytes_.resize((bytes_.size() + to - 1) / to * to); }
  template <class T>
  void put(const T& value) {
    align(alignof(T));
    const auto raw = std::as_bytes(std::span(&value, 1));
    bytes_.insert(bytes_.end(), raw.begin(), raw.end());
  }
  void put_tensor(const TensorView& view);

  std::vector<std::byte> bytes_;
};

/// The C type of a scalar among the params.
template <class T>
[[nodiscard]] constexpr const char* candidate_type() {
  if constexpr (std::is_enum_v<T> || std::is_same_v<T, bool>) return "int32_t";
  if constexpr (std::is_same_v<T, float>) return "float";
  if constexpr (std::is_same_v<T, std::int64_t>) return "int64_t";
  if constexpr (std::is_same_v<T, std::uint64_t>) return "uint64_t";
  if constexpr (std::is_same_v<T, std::uint32_t*>) return "uint32_t*";
}

/// The struct of the params in C, and the declaration of the function that a candidate defines.
template <class Params>
[[nodiscard]] std::string candidate_declaration() {
  const Params params{};
  std::string fields;
  for_each_operand(params, [&](const OperandRole& role, const TensorView&) {
    const char* const out = role.out() ? (role.in() ? "in and out" : "out") : "in";
    fields += fmt::format("  hipforge_tensor {}; /* {}{} */\n", role.name, out,
                          role.optional() ? ", or absent" : "");
  });
  for_each_scalar(params, [&](const char* name, const auto& value) {
    fields += fmt::format("  {} {};\n", candidate_type<std::remove_cvref_t<decltype(value)>>(), name);
  });
  return fmt::format(
      "typedef struct hipforge_{0}_params {{\n{1}}} hipforge_{0}_params;\n"
      "HIPFORGE_CANDIDATE_EXPORT int hipforge_candidate_{0}(const hipforge_{0}_params*, hipforge_stream);\n",
      op_name(params), fields);
}

/// What a suite is filled from: names, the oracle, its bound in words, and how a candidate takes the op's
/// params. Of all floats and both layouts, unless the op says otherwise.
template <class Params>
[[nodiscard]] OpSuite make_suite(const char* bound) {
  OpSuite suite;
  suite.op = op_name(Params{});
  suite.bound = bound;
  suite.dtypes = {DType::kF32, DType::kF16, DType::kBF16};
  suite.layouts = {layout_name(Layout::kContiguous), layout_name(Layout::kStrided)};
  suite.expect = [](const std::any& params, const HostTensors::Fetch& fetch, const Target& target) {
    const auto& launched = std::any_cast<const Params&>(params);
    return expectations(launched, fetch, target, launched);
  };
  suite.candidate_struct = [](const std::any& params) {
    return CandidateStruct(std::any_cast<const Params&>(params)).bytes();
  };
  suite.candidate_declaration = candidate_declaration<Params>();
  return suite;
}

}  // namespace hipforge::harness
