#pragma once

#include "harness/check/check_summary.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace hipforge::harness {

/// A share may grow by this factor before that is a failure, whatever is left to the bound.
inline constexpr double kShareGrowth = 1.5;
/// Shares below this count as this much: that nothing becomes a little is no growth.
inline constexpr double kShareFloor = 0.01;

/// The worst share of its bound that a case had, and why that is as it is.
struct AccuracyEntry {
  double share = 0.0;
  std::string date;
  std::string reason;
};

/// What results/<device>/accuracy.json holds: by target ("cpu wave 32") and case id. A case that is compared
/// exactly throughout has no share and no entry. On the cpu platform each wave size has its own, because the
/// order of sums differs.
struct AccuracyBaseline {
  std::uint64_t seed = 1;  ///< of the inputs
  std::map<std::string, std::map<std::string, AccuracyEntry>> targets;
};

/// "results/cpu", or "results/h100": where what is known of this device lies.
[[nodiscard]] std::string results_folder();

/// Throws Error{kNotFound} where there is no such file, Error{kInvalidArgument} for one that is malformed.
[[nodiscard]] AccuracyBaseline read_accuracy_baseline(const std::string& path);
/// Throws Error{kNotFound} that names a path which cannot be written.
void write_accuracy_baseline(const std::string& path, const AccuracyBaseline& baseline);

/// The part of `hipforge check` that --baseline and --accept ask for: prints what grew, with the line that
/// repeats it, and a summary; returns the number of failures. Throws Error where the file is missing (and
/// there is nothing to accept), malformed or of another seed.
[[nodiscard]] std::size_t hold_to_accuracy_baseline(const CheckOptions& options,
                                                    const std::vector<CaseRecord>& records);

}  // namespace hipforge::harness
