#include "harness/check/failure_report.h"

#include "harness/check/shrink.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace hipforge::harness {

void FailureReport::print(CaseRecord& record) {
  const Case& test = *record.test;
  fmt::print("FAIL {} (wave {}): {}\n     repeat: {}\n", test.id, record.target.wave, record.result.message,
             repro_command(record, options_));
  std::fflush(stdout);
  const std::string kind = fmt::format("{} {} {} {}", test.op, dtype_name(test.dtype), record.target.wave,
                                       failure_name(record.result.failure));
  if (options_.shrink_seconds <= 0.0 || !shrunk_.insert(kind).second) return;

  const auto begin = std::chrono::steady_clock::now();
  // One that hangs must leave time for others.
  runner_.limit(options_.shrink_seconds / 5.0);
  const std::optional<Shrunk> smaller = shrink(
      test, record.result, [&](const Case& other) { return runner_.run(other, record.target); },
      options_.shrink_seconds);
  runner_.limit(options_.timeout_s);
  if (!smaller) return;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  record.shrunk_id = smaller->test.id;
  record.shrunk_message = smaller->result.message;
  fmt::print("     shrunk, {} cases in {:.1f} s{}: {}\n     shape {} -> {}: {}\n     repeat: {}\n",
             smaller->tries, seconds, smaller->finished ? "" : ", then time was over", smaller->changes,
             test.shape, smaller->test.shape, smaller->result.message,
             case_command(smaller->test.id, record.target, options_));
  std::fflush(stdout);
}

}  // namespace hipforge::harness
