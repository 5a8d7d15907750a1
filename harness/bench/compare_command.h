#pragma once

#include "harness/bench/record.h"

#include <string>
#include <vector>

namespace hipforge::harness {

struct CompareOptions {
  std::string before_path;
  std::string after_path;
  /// How much slower is allowed, as a fraction; below 0: kMaxRegression, or on the cpu platform
  /// kMaxCpuRegression.
  double max_regression = -1.0;
  std::string json_path;
  std::string csv_path;
  std::string markdown_path;
};

inline constexpr double kMaxRegression = 0.03;
/// A shared machine: what is left of the neighbours in the least time of a block.
inline constexpr double kMaxCpuRegression = 0.10;

/// One case under two builds, or under two kernels of one.
struct ComparedCase {
  const Record* before = nullptr;
  const Record* after = nullptr;
  Judgement judgement;  ///< where both have figures
  [[nodiscard]] bool lost() const { return !before->timed() || !after->timed(); }
  [[nodiscard]] bool regression() const { return lost() || judgement.regression; }
};

/// Judges all that have figures at once: the verdicts are corrected for their number.
void judge_cases(const std::string& platform, double max_regression, std::vector<ComparedCase>& cases);

/// Times, ratio and verdict of each; `before` and `after` are what the two are called.
[[nodiscard]] Sheet comparison_sheet(const std::string& platform, const std::vector<ComparedCase>& cases,
                                     const std::string& before, const std::string& after);

/// "12 cases: 9 same, 2 faster, 1 slower, 0 without a figure".
[[nodiscard]] std::string changes_text(const std::vector<ComparedCase>& cases);

/// `hipforge compare`: of every case in both files the ratio of times with its interval, whether the second
/// is faster or slower by a rank test over blocks, corrected for the number of cases, and whether it is a
/// regression: slower, with the whole interval beyond what is allowed. Cases without a figure any more count
/// as regressions. Returns an exit code; throws Error for a file that is no result, has too few blocks for a
/// verdict, or is of another device.
[[nodiscard]] int run_compare(const CompareOptions& options);

/// "3%" or "3" as 0.03 into `fraction`; false for anything that is no percentage from 0 to 1,000.
[[nodiscard]] bool parse_percent(const std::string& text, double& fraction);

}  // namespace hipforge::harness
