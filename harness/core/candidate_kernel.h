#pragma once

#include "kernels/runtime/status.h"

#include <hip/hip_runtime.h>

#include <any>
#include <functional>
#include <string>

namespace hipforge::harness {

/// Someone else's kernel for one op, ready to be launched in place of ours; see hipforge_candidate.h.
class CandidateKernel {
 public:
  virtual ~CandidateKernel() = default;
  /// Launches it with an op's params, RmsNormParams and so on; `own` launches our kernel with the same. kUnsupported
  /// where it has no kernel for them.
  [[nodiscard]] virtual Status launch(const std::any& params, const std::function<Status(hipStream_t)>& own,
                                      hipStream_t stream) = 0;
  /// Where it lies ready to be loaded: the file itself, or what was compiled of it, as long as this lives.
  [[nodiscard]] virtual const std::string& library() const = 0;
};

}  // namespace hipforge::harness
