#pragma once

#include "harness/core/case.h"

#include <any>
#include <functional>
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

/// hipforge_candidate_ops.h: what hipforge_candidate.h includes, made of the operands of every op.
[[nodiscard]] std::string candidate_ops_header();

/// A function that hands an op's params (RmsNormParams, ..., in PreparedCase::params) to a candidate's C
/// entry for that op, as the struct that it takes. It returns kUnsupported for
/// HIPFORGE_CANDIDATE_UNSUPPORTED, and kHipError for any other value but 0; throws std::bad_any_cast where
/// the params are another op's. Throws Error{kInvalidArgument} for an op that has no entry.
[[nodiscard]] std::function<Status(const std::any& params, hipStream_t stream)> bind_candidate_entry(
    const std::string& op, void* entry);

}  // namespace hipforge::harness
