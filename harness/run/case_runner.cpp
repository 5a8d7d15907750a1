#include "harness/run/case_runner.h"

#include "harness/core/device_info.h"
#include "kernels/runtime/check.h"

#if defined(HIPFORGE_PLATFORM_CPU)
#include <fmt/format.h>
#include <hipforge_cpu.h>
#endif

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

#if defined(HIPFORGE_PLATFORM_CPU)
class RaceRunner final : public CaseRunner {
 public:
  RaceRunner(std::unique_ptr<CaseRunner> inner, std::uint64_t schedules)
      : inner_(std::move(inner)), schedules_(schedules), first_schedule_(hipforge_cpu_schedule()) {
    HIPFORGE_HIP_CHECK(hipforge_cpu_set_race(1));
  }
  ~RaceRunner() override { (void)hipforge_cpu_set_race(0); }

  CaseResult run(const Case& test, const Target& target) override {
    const std::uint64_t choices = hipforge_cpu_race_choices();
    CaseResult result = inner_->run(test, target);
    if (!result.passed || hipforge_cpu_race_choices() == choices) return result;
    ++dependent_;
    for (std::uint64_t i = 1; i < schedules_ && result.passed; ++i) {
      HIPFORGE_HIP_CHECK(hipforge_cpu_set_schedule(first_schedule_ + i));
      CaseResult next = inner_->run(test, target);
      if (!next.passed || next.worst_share > result.worst_share) result = std::move(next);
    }
    HIPFORGE_HIP_CHECK(hipforge_cpu_set_schedule(first_schedule_));
    return result;
  }

  void limit(double seconds) override { inner_->limit(seconds); }

  std::string summary() const override {
    return fmt::format(
        "races: {} accesses watched; {} runs of cases that may depend on the schedule, under {} each",
        hipforge_cpu_race_accesses(), dependent_, schedules_);
  }

 private:
  std::unique_ptr<CaseRunner> inner_;
  std::uint64_t schedules_;
  std::uint64_t first_schedule_;
  std::size_t dependent_ = 0;
};
#endif

}  // namespace

std::unique_ptr<CaseRunner> make_local_runner(const CaseEnvironment& environment) {
  return std::make_unique<LocalRunner>(environment);
}

Status race_support() {
#if defined(HIPFORGE_PLATFORM_CPU)
  if (hipforge_cpu_race_built() != 0) return {};
  return unsupported(
      "--race needs kernels that tell what they touch: cmake --preset cpu-race && cmake --build "
      "build/cpu-race --target hipforge, then build/cpu-race/hipforge");
#else
  return unsupported("--race is for the cpu platform (preset cpu-race)");
#endif
}

std::unique_ptr<CaseRunner> make_race_runner(std::unique_ptr<CaseRunner> inner,
                                             [[maybe_unused]] std::uint64_t schedules) {
  throw_if_error(race_support());
#if defined(HIPFORGE_PLATFORM_CPU)
  return std::make_unique<RaceRunner>(std::move(inner), schedules);
#else
  return inner;
#endif
}

}  // namespace hipforge::harness
