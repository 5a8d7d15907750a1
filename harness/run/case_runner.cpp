#include "harness/run/case_runner.h"

#include "harness/core/device_info.h"
#include "kernels/runtime/check.h"

#include <optional>

namespace hipforge::harness {
namespace {

class LocalRunner final : public CaseRunner {
 public:
  explicit LocalRunner(const CaseEnvironment& environment) : environment_(environment) {}
  ~LocalRunner() override { (void)set_target_override(std::nullopt); }

  CaseResult run(const Case& test, const Target& target) override {
    throw_if_error(set_target_override(target));
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
