#include "harness/run/case_runner.h"

#include "harness/core/device_info.h"
#include "kernels/runtime/check.h"

namespace hipforge::harness {
namespace {

class LocalRunner final : public CaseRunner {
 public:
  explicit LocalRunner(const CaseEnvironment& environment) : environment_(environment) {}

  CaseResult run(const Case& test, const Target& target) override {
    const TargetScope scope(target);  // of the harness's own kernels and a candidate's
    throw_if_error(scope.status());
    environment_.target = target;
    CaseResult result = run_case(test, environment_);
    if (environment_.recorder != nullptr) throw_if_error(environment_.recorder->status());
    if (!result.passed && !result.unsupported && !recover_device()) {
      throw Error(failure(StatusCode::kHipError, "the device cannot go on after the fault of ", test.id));
    }
    return result;
  }

 private:
  CaseEnvironment environment_;
};

}  // namespace

std::unique_ptr<CaseRunner> make_local_runner(const CaseEnvironment& environment) {
  return std::make_unique<LocalRunner>(environment);
}

}  // namespace hipforge::harness
