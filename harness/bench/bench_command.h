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

/// `hipforge bench`: times an op's cases of a size worth timing (harness/bench/bench.h), all blocks of a case
/// in a row. With a candidate its blocks alternate with ours (A B A B ...), and it prints the ratio of times,
/// candidate to ours, with its interval, and same, faster or slower as `hipforge compare` does. A case that
/// the candidate does not support is listed. Returns an exit code: 1 where a result is wrong; throws Error
/// where it cannot run, UsageError for what cannot be asked for.
[[nodiscard]] int run_bench(const BenchOptions& options);

}  // namespace hipforge::harness
