#include "harness/check/case_record.h"

#include "harness/core/device_info.h"

#include <fmt/format.h>

namespace hipforge::harness {

std::string case_command(const std::string& id, const Target& target, const CheckOptions& options) {
  std::string flags;
  if (!options.target.empty()) flags += " --target " + options.target;
  if (!options.candidate_path.empty()) {
    flags += fmt::format(" --candidate '{}' --op {}", options.candidate_path, options.ops.front());
  }
  if (options.isolate) flags += " --isolate";
  const std::string race = options.race ? fmt::format(" --race --schedules {}", options.schedules) : "";
  return fmt::format("{}{} check{} --case '{}' --seed {} --wave {}{}", repro_environment(target.wave),
                     options.program, race, id, options.seed, target.wave, flags);
}

std::string repro_command(const CaseRecord& record, const CheckOptions& options) {
  return case_command(record.test->id, record.target, options);
}

}  // namespace hipforge::harness
