#pragma once

#include "harness/core/case.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace hipforge::harness {

/// Exit codes of every command.
inline constexpr int kExitGood = 0;
inline constexpr int kExitFailed = 1;     ///< a check failed
inline constexpr int kExitUsage = 2;      ///< bad usage, or nothing matched
inline constexpr int kExitCannotRun = 3;  ///< no device, no file, a bad file, out of memory

struct CheckOptions {
  std::string program = "hipforge";  ///< as it was called, for repro lines
  std::vector<std::string> ops;
  std::vector<std::string> dtypes;
  std::vector<int> waves;
  std::string target;
  std::string filter;
  std::string case_id;  ///< this case alone, or a variant of one (harness/sweep/variants.h)
  std::uint64_t seed = 1;
  bool quick = false;
  /// Of the selected cases only those with index % shards == shard: a run spread over processes.
  std::size_t shard = 0;
  std::size_t shards = 1;
  bool race = false;  ///< watch for races, see harness/run/race_runner.h
  std::uint64_t schedules = 1;
  bool emulatable = false;  ///< only what an emulator gets through, see harness/replay/emulatable.h
  std::string explain;      ///< a case's id, see harness/check/explain.h
  /// A file to hold shares against (harness/check/accuracy_baseline.h); empty: the device's own.
  std::optional<std::string> baseline;
  std::optional<std::string> accept;  ///< makes the shares the baseline, for this reason
  bool list = false;
  bool coverage = false;
  std::string json_path;
  std::string junit_path;
  std::string csv_path;
  std::string markdown_path;
  std::string record_path;      ///< a folder for every launch, see kernels/runtime/recorder.h
  std::string candidate_path;   ///< someone else's kernel in place of ours (harness/candidate/candidate.h)
  std::string candidate_built;  ///< what was compiled of it already
  std::string emulate;          ///< an AMD architecture: a candidate's code object runs on an emulator
  bool fail_fast = false;       ///< nothing after the first failure
  /// How long a failing case is shrunk; 0: not at all (harness/check/failure_report.h).
  double shrink_seconds = 10.0;
  bool isolate = false;                ///< cases in processes of their own (harness/run/isolation.h)
  double timeout_s = 30.0;             ///< of a case, with isolate
  std::int64_t memory_limit_mib = 0;   ///< of such a process; 0: three quarters of what is available
  std::vector<std::string> arguments;  ///< the command's own, to execute it again
  bool serve = false;                  ///< be such a process
};

/// `hipforge check`: returns an exit code; throws Error where it could not run.
[[nodiscard]] int run_check(const CheckOptions& options);

/// "K/N" with 0 <= K < N into shard and shards; false, and options as they were, for any other text.
[[nodiscard]] bool parse_shard(const std::string& text, CheckOptions& options);

/// One case under one target, as it ran.
struct CaseRecord {
  const Case* test = nullptr;
  Target target;
  CaseResult result;
  double seconds = 0.0;
  std::string shrunk_id;       ///< the smallest case that fails in the same way; empty: none was looked for
  std::string shrunk_message;  ///< what is wrong with that one

  [[nodiscard]] bool failed() const { return !result.passed && !result.unsupported; }
};

/// A shell command that runs the case of that id under that target.
[[nodiscard]] std::string case_command(const std::string& id, const Target& target,
                                       const CheckOptions& options);

/// A shell command that runs this case again, alone, as it ran.
[[nodiscard]] std::string repro_command(const CaseRecord& record, const CheckOptions& options);

/// How often a suite's cases of a dtype use a feature.
struct FeatureCount {
  std::map<std::string, std::size_t> by_layout;
  std::size_t shapes = 0;  ///< distinct
  std::size_t odd = 0;
  std::size_t over_tile = 0;
};
[[nodiscard]] FeatureCount count_feature(const OpSuite& suite, const std::string& feature, DType dtype);

inline constexpr std::size_t kShapesPerFeature = 3;

/// What the cases of a suite lack: an empty cell of feature × dtype × layout that is not excluded, a feature
/// with fewer than kShapesPerFeature shapes, without an odd one or without one over a tile. Empty where
/// nothing.
[[nodiscard]] std::vector<std::string> coverage_holes(const OpSuite& suite);

}  // namespace hipforge::harness
