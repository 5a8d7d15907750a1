#pragma once

#include <string>
#include <vector>

namespace hipforge::harness {

/// One case of a result file.
struct TimedCase {
  std::string id;
  std::string op;
  std::string dtype;
  std::string error;  ///< why there is no figure; empty where there is one
  double median_us = 0.0;
  /// Samples in microseconds, per block: a stretch of samples between which other cases ran.
  std::vector<std::vector<double>> blocks_us;
};

/// What `hipforge_bench --json` wrote, bare or as bench/record.sh wrapped it.
struct TimedRun {
  std::string path;
  std::string platform;
  std::string device;
  std::string compiler;
  std::string driver;
  std::string commit;    ///< empty where the file does not say
  std::string recorded;  ///< UTC, ISO 8601
  std::vector<TimedCase> cases;
};

/// Throws Error{kNotFound} that names a file which cannot be read, Error{kInvalidArgument} for one that is no
/// result of hipforge_bench.
[[nodiscard]] TimedRun read_timed_run(const std::string& path);

/// The one number of a block that is compared. On a GPU the median of its samples. On the cpu platform the
/// least: what else runs on the machine only ever adds time, and takes it from most samples there.
[[nodiscard]] double block_value(const std::string& platform, const std::vector<double>& samples);

}  // namespace hipforge::harness
