#pragma once

#include "harness/core/case.h"

#include <memory>
#include <string>

namespace hipforge::harness {

/// What a candidate's file is, by its first bytes, or by its name where it is text.
enum class CandidateKind { kSource, kLibrary, kCodeObject };

/// Throws Error{kNotFound} where it cannot be read, Error{kInvalidArgument} where it is none of these.
[[nodiscard]] CandidateKind candidate_kind(const std::string& path);

/// Compiles or loads. Throws Error, in one line: a file that is not there or of no known kind, source that
/// does not compile, a library that does not load, one without the op's entry (the entries that it has are
/// named), a code object where there is no AMD GPU.
[[nodiscard]] std::unique_ptr<CandidateKernel> load_candidate(const std::string& path, const std::string& op);

}  // namespace hipforge::harness
