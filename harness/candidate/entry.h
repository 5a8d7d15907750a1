#pragma once

#include "kernels/runtime/status.h"

#include <hip/hip_runtime.h>

#include <any>
#include <functional>
#include <string>

namespace hipforge::harness {

/// "hipforge_candidate_softmax", see hipforge_candidate.h.
[[nodiscard]] std::string candidate_entry_name(const std::string& op);

/// hipforge_candidate_ops.h: what hipforge_candidate.h includes, made of the operands of every op.
[[nodiscard]] std::string candidate_ops_header();

/// A function that hands an op's params (RmsNormParams, ..., in PreparedCase::params) to a candidate's C
/// entry for that op, as the struct that it takes. It returns kUnsupported for
/// HIPFORGE_CANDIDATE_UNSUPPORTED, and kHipError for any other value but 0; throws std::bad_any_cast where
/// the params are another op's. Throws Error{kInvalidArgument} for an op that has no entry.
[[nodiscard]] std::function<Status(const std::any& params, hipStream_t stream)> bind_candidate_entry(
    const std::string& op, void* entry);

}  // namespace hipforge::harness
