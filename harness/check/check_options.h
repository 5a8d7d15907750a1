#pragma once

#include "harness/output/sheet.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hipforge::harness {

struct CheckOptions {
  std::string program = "hipforge";  ///< as it was called, for repro lines
  std::vector<std::string> ops;
  std::vector<std::string> dtypes;
  std::vector<int> waves;
  std::string target;
  std::string filter;
  std::string case_id;  ///< this case alone, or a variant of one (find_case() in harness/core/case.h)
  std::uint64_t seed = 1;
  bool quick = false;
  /// Of the selected cases only those with index % shards == shard: a run spread over processes.
  std::size_t shard = 0;
  std::size_t shards = 1;
  bool race = false;  ///< watch for races, see harness/run/case_runner.h
  std::uint64_t schedules = 1;
  bool emulatable = false;  ///< only what an emulator gets through, see harness/replay/emulatable.h
  std::string explain;      ///< a case's id, see harness/check/explain.h
  /// A file to hold shares against (harness/check/accuracy_baseline.h); empty: the device's own.
  std::optional<std::string> baseline;
  std::optional<std::string> accept;  ///< makes the shares the baseline, for this reason
  bool list = false;
  bool coverage = false;
  SummaryFiles files;
  std::string record_path;      ///< a folder for every launch, see kernels/runtime/recorder.h
  std::string candidate_path;   ///< someone else's kernel in place of ours (harness/candidate/candidate.h)
  std::string candidate_built;  ///< what was compiled of it already
  std::string emulate;          ///< an AMD architecture: a candidate's code object runs on an emulator
  bool fail_fast = false;       ///< nothing after the first failure
  /// How long a failing case is shrunk; 0: not at all (harness/check/shrink.h).
  double shrink_seconds = 10.0;
  bool isolate = false;                ///< cases in processes of their own (harness/run/case_runner.h)
  double timeout_s = 30.0;             ///< of a case, with isolate
  std::int64_t memory_limit_mib = 0;   ///< of such a process; 0: three quarters of what is available
  std::vector<std::string> arguments;  ///< the command's own, to execute it again
  bool serve = false;                  ///< be such a process
};

}  // namespace hipforge::harness
