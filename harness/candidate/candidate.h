#pragma once

#include "harness/core/case.h"

#include <any>
#include <functional>
#include <memory>
#include <string>

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

/// What launches the candidate on the operands of a prepared case. A case that makes several launches
/// (PreparedCase::params is empty) has taken the candidate from its environment.
[[nodiscard]] std::function<Status(hipStream_t)> bind_candidate(CandidateKernel& candidate,
                                                                const PreparedCase& prepared);

/// What a candidate's file is, by its first bytes, or by its name where it is text.
enum class CandidateKind { kSource, kLibrary, kCodeObject };

/// Throws Error{kNotFound} where it cannot be read, Error{kInvalidArgument} where it is none of these.
[[nodiscard]] CandidateKind candidate_kind(const std::string& path);

/// Compiles or loads. Throws Error, in one line: a file that is not there or of no known kind, source that
/// does not compile, a library that does not load, one without the op's entry (the entries that it has are
/// named), a code object where there is no AMD GPU.
[[nodiscard]] std::unique_ptr<CandidateKernel> load_candidate(const std::string& path, const std::string& op);

}  // namespace hipforge::harness
