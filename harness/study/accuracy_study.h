#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hipforge::harness {

/// How an op's error grows with the number of keys that it sums over, on positive inputs, where a plain f32
/// sum drifts (chronicle 006). f32, because a store in 16 bits would hide it.
struct StudyOptions {
  std::int64_t max_kv_len = 131072;  ///< powers of two from kStudyMinKvLen on
  std::uint64_t seed = 1;
  int wave = 0;  ///< 0: the first of default_waves()
  std::string json_path;
  std::string svg_path;
  bool record = false;  ///< write results/<device>/accuracy_study.json and .svg
  std::string sources;  ///< the hash of the sources, for the file
};

inline constexpr std::int64_t kStudyMinKvLen = 32;
inline constexpr std::int64_t kStudyMostKvLen = 1 << 20;
/// Of log error against log kv_len: what an op may have, and what the control must show.
inline constexpr double kMaxErrorSlope = 0.1;
inline constexpr double kMinControlSlope = 0.25;

struct StudyPoint {
  std::int64_t kv_len = 0;
  /// Root of the mean square over all outputs of |value − oracle| / (u · Σ|ab|), u = 2⁻²⁴.
  double error = 0.0;
  double worst = 0.0;  ///< the largest of them
};

struct StudySeries {
  std::string op;
  bool naive = false;  ///< the control: a plain f32 sum
  std::vector<StudyPoint> points;
  double slope = 0.0;
};

/// Slope of a straight line through the logarithms of kv_len and error, by least squares.
[[nodiscard]] double log_log_slope(const std::vector<StudyPoint>& points);

/// What is wrong with a study: a slope over kMaxErrorSlope, or a control that shows none. Empty where
/// nothing.
[[nodiscard]] std::vector<std::string> study_problems(const std::vector<StudySeries>& series);

/// `hipforge accuracy-study`: runs attention, softmax and weighted_matmul and their controls, prints a table,
/// writes what is asked for; returns an exit code. Throws Error where a launch fails.
[[nodiscard]] int run_accuracy_study(const StudyOptions& options);

}  // namespace hipforge::harness
