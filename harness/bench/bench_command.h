#pragma once

#include <string>
#include <vector>

namespace hipforge::harness {

struct BenchOptions {
  std::vector<std::string> ops;     ///< empty: all
  std::vector<std::string> dtypes;  ///< empty: all
  std::string filter;               ///< a regular expression on ids; empty: every case
  std::string candidate_path;  ///< timed against our kernel of the one op (harness/candidate/candidate.h)
  double seconds = 0.5;        ///< of measuring, of each case and kernel
  std::string json_path;
};

/// `hipforge bench`: times an op's cases of a size worth timing, in blocks between which the other kernel
/// runs (A B A B ...), on the same operands. With a candidate it prints the ratio of times, candidate to
/// ours, with its interval, and same, faster or slower by a rank test over blocks, corrected for the number
/// of cases (harness/bench/statistics.h). Each kernel's result is checked before and after it is timed, and
/// one that is wrong gets no figure. A case that the candidate does not support is listed. Returns an exit
/// code: 1 where a result is wrong; throws Error where it cannot run.
[[nodiscard]] int run_bench(const BenchOptions& options);

}  // namespace hipforge::harness
