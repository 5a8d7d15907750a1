#pragma once

#include "harness/core/compare.h"
#include "harness/core/rig.h"
#include "kernels/runtime/recorder.h"
#include "kernels/runtime/target.h"

#include <any>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace hipforge::harness {

/// Someone else's kernel for one op, ready to be launched in place of ours; see hipforge_candidate.h.
class CandidateKernel {
 public:
  virtual ~CandidateKernel() = default;
  /// Launches it with an op's params, RmsNormParams and so on; `own` launches our kernel with the same.
  /// kUnsupported where it has no kernel for them.
  [[nodiscard]] virtual Status launch(const std::any& params, const std::function<Status(hipStream_t)>& own,
                                      hipStream_t stream) = 0;
  /// Where it lies ready to be loaded: the file itself, or what was compiled of it, as long as this lives.
  [[nodiscard]] virtual const std::string& library() const = 0;
};

/// What a case runs under.
struct CaseEnvironment {
  Target target;
  std::uint64_t seed = 1;
  hipStream_t stream = nullptr;
  Recorder* recorder = nullptr;          ///< told which case the launches belong to
  CandidateKernel* candidate = nullptr;  ///< launched in place of our kernel
};

/// One output and what it must be.
struct OutputExpectation {
  std::string output;  ///< the operand's name
  Expected expected;
  TensorView view{};  ///< where it lies; absent: the rig's operand of that name
  /// Where it is no matter of values and bounds (a drawn token): replaces `expected`.
  std::function<Comparison(std::span<const double> values)> judge{};
};

/// What lies in the output now.
[[nodiscard]] std::vector<double> read_output(const Rig& rig, const OutputExpectation& expectation);

/// Which measured ceiling an op is held against.
enum class Ceiling { kCopy, kRead, kWrite, kMatrix };

/// A case with its operands made: it can be launched again and again (benches) and checked after any launch.
struct PreparedCase {
  std::unique_ptr<Rig> rig;
  std::function<Status(hipStream_t)> launch;
  std::any params;  ///< the op's own, RmsNormParams and so on, that `launch` launches with
  /// The oracle's word on each output; computed of the operands before the launch, so valid for any launch.
  std::function<std::vector<OutputExpectation>()> expect;
  /// Where outputs are held against each other, or sampled: replaces expect.
  std::function<Comparison(const Rig&)> judge;
  std::int64_t bytes = 0;  ///< least traffic: each input once, each output once
  std::int64_t flops = 0;
  Ceiling ceiling = Ceiling::kCopy;
};

/// What launches the candidate on the operands of a prepared case. A case that makes several launches
/// (PreparedCase::params is empty) has taken the candidate from its environment.
[[nodiscard]] std::function<Status(hipStream_t)> bind_candidate(CandidateKernel& candidate,
                                                                const PreparedCase& prepared);

struct Case;

/// Names and values: "rows" "1".
using Settings = std::vector<std::pair<std::string, std::string>>;

/// Something about a case that can be set: a size, or one of several choices.
struct Knob {
  std::string name;
  std::string value;
  bool is_size = false;
  std::int64_t least = 0;            ///< of a size
  std::int64_t step = 1;             ///< of a size, counted from `least`
  std::vector<std::string> simpler;  ///< choices simpler than the value, the simplest first
};

/// How a case is made again, smaller or with simpler data (harness/sweep/fields.h).
struct Variants {
  std::vector<Knob> knobs;
  /// The case with these settings changed; its id is that of the case in the suite and all that differs from
  /// it: "op/dtype/layout/what@rows=1,family=equal". Throws Error{kInvalidArgument} for an unknown name or
  /// value, and for settings that do not go together.
  std::function<Case(const Settings&)> make;
};

/// One check of one op. `id` is unique: op/dtype/layout/what, made of [a-z0-9_./-].
struct Case {
  std::string id;
  std::string op;
  DType dtype = DType::kF32;
  std::string layout;
  std::vector<std::string> features;
  std::vector<std::string> families;          ///< kinds of inputs, see harness/sweep/families.h
  std::map<std::string, std::int64_t> sizes;  ///< by the dimension's name
  std::string shape;                          ///< for counting distinct shapes
  bool odd = false;                           ///< some dimension is odd and over 1
  bool over_tile = false;                     ///< more than one tile, wave or block of the kernel
  bool quick = false;                         ///< part of --quick
  bool emulated = false;                      ///< part of --emulatable, whatever else is
  /// Several launches that must agree, without an oracle (harness/sweep/metamorphic.h); never emulated.
  bool metamorphic = false;
  /// What a GPU must reach at least, where the design says so; 0 where it does not.
  double floor_share = 0.0;   ///< of the ceiling that the prepared case names
  double floor_tflops = 0.0;  ///< at this size
  std::function<PreparedCase(const CaseEnvironment&)> prepare;
  std::function<Variants()> variants;  ///< empty where a case has only itself
};

/// In what way a case failed.
enum class Failure {
  kNone,
  kRefused,    ///< the launcher returned an error
  kFault,      ///< the kernel was stopped
  kErrorWord,  ///< the device error word is not what it must be
  kOverwrite,  ///< an input, a guard or a gap between rows was written
  kWrong,      ///< an element is over its bound
  kException,  ///< the case could not be made or compared
  kCrash,      ///< its process died (cases in processes of their own)
  kHang,       ///< its process did not end in time
  kMemory,     ///< its process grew over the limit
};

[[nodiscard]] const char* failure_name(Failure failure);

/// How near one output came to its bound.
struct OutputShare {
  std::string output;
  bool bounded = false;  ///< some element had a bound over 0
  double worst_share = 0.0;
};

struct CaseResult {
  bool passed = false;
  bool bounded = false;  ///< some element had a bound over 0
  double worst_share = 0.0;
  std::size_t elements = 0;  ///< that were compared with the oracle
  std::string where;
  std::string message;
  Failure failure = Failure::kNone;
  std::vector<OutputShare> outputs;  ///< as far as they were compared
  bool unsupported = false;          ///< a candidate has no kernel for the case: neither passed nor failed
};

/// Prepares, poisons, launches, synchronises, checks guards and inputs, then compares. Never throws for what
/// the case did wrong: that is a failed result.
[[nodiscard]] CaseResult run_case(const Case& test, const CaseEnvironment& environment);
/// The checking half, for a prepared case that was launched.
[[nodiscard]] CaseResult check_case(PreparedCase& prepared);

/// A feature that cannot meet a layout, and why.
struct Exclusion {
  std::string feature;
  std::string layout;  ///< empty: none at all
  std::string reason;
  std::vector<DType> dtypes{};  ///< empty: whatever the dtype
};

/// A size at which a kernel's path changes or a pack, wave, block or tile is full: coverage wants cases of
/// at − 1, at and at + 1, up to `limit` where there is one.
struct SizeEdge {
  std::string dimension;
  std::int64_t at = 0;
  std::int64_t limit = 0;
};

/// Everything the harness knows of one op. Coverage wants a case in every cell of features × dtypes × layouts
/// but the excluded ones, the input families (harness/sweep/families.h) among the features; for each feature
/// three shapes, one odd and one over a tile; and the sizes around each edge.
struct OpSuite {
  std::string op;
  std::string bound;  ///< in words
  /// The oracle's word on a launch of any params (RmsNormParams, ...): each output with the place where it
  /// lies. `fetch` gets what the tensors held before it.
  std::function<std::vector<OutputExpectation>(const std::any& params, const HostTensors::Fetch& fetch,
                                               const Target& target)>
      expect;
  std::vector<DType> dtypes;
  std::vector<std::string> features;
  std::vector<std::string> layouts;
  std::vector<Exclusion> exclusions;
  std::vector<SizeEdge> edges;
  std::vector<Case> cases;
  /// Cases of a size worth timing; not part of a check.
  std::vector<Case> bench_cases;
  /// Makes the cases of the sizes that a GPU is measured at, sampled by the oracle
  /// (harness/sweep/large_cases.h), with lengths divided by `shrink`: 1 to measure, more to try them where
  /// they do not fit. Empty where an op has none.
  std::function<std::vector<Case>(std::int64_t shrink)> large_cases;
  /// The metamorphic cases of an OpLauncher<Params>; empty where an op has none.
  std::function<std::vector<Case>(const std::any& launcher)> relations;
  /// An op's params as the struct of hipforge_candidate.h; throws std::bad_any_cast for another's.
  std::function<std::vector<std::byte>(const std::any& params)> candidate_struct;
  std::string candidate_declaration;  ///< of that struct and of the function that takes it, in C
};

/// All ops, in the order of the design.
[[nodiscard]] const std::vector<OpSuite>& all_suites();
/// Throws Error{kNotFound} for an op that this build does not have.
[[nodiscard]] const OpSuite& suite_of(std::string_view op);
/// The case of that id, among the checked ones or those of a bench, or a variant of one:
/// "op/dtype/layout/what@rows=1,family=equal". Throws Error{kNotFound} for an unknown one,
/// Error{kInvalidArgument} for settings that it cannot take.
[[nodiscard]] Case find_case(const std::string& id);

/// "128x4096" from sizes.
[[nodiscard]] std::string shape_name(const Shape& shape);
/// Any dimension odd and over 1.
[[nodiscard]] bool any_odd(const Shape& shape);

}  // namespace hipforge::harness
