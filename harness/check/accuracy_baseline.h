#pragma once

#include "harness/check/case_record.h"

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

/// An empty one where there is no file. Throws Error{kInvalidArgument} for one that is malformed.
[[nodiscard]] AccuracyBaseline read_accuracy_baseline(const std::string& path);
/// Throws Error{kNotFound} that names a path which cannot be written.
void write_accuracy_baseline(const std::string& path, const AccuracyBaseline& baseline);

/// The baseline's name of a target.
[[nodiscard]] std::string accuracy_target(const Target& target);

/// What a run says against a baseline.
struct AccuracyVerdict {
  std::size_t compared = 0;
  std::vector<const CaseRecord*> grown;  ///< failures
  std::vector<std::string> messages;     ///< one for each of them
  std::size_t smaller = 0;               ///< so much that the baseline has slack
  std::vector<std::string> fresh;        ///< ids without an entry
  std::vector<std::string> gone;         ///< entries without a case
};
/// Failed records are left out: they fail anyway.
[[nodiscard]] AccuracyVerdict judge_accuracy(const AccuracyBaseline& baseline,
                                             const std::vector<CaseRecord>& records);

/// Makes the passed records' shares the baseline where they are new or differ, and drops entries without a
/// case. Returns how many entries it changed or dropped.
std::size_t accept_accuracy(const std::vector<CaseRecord>& records, const std::string& reason,
                            const std::string& date, AccuracyBaseline& baseline);

/// The part of `hipforge check` that --baseline and --accept ask for: prints what grew, with the line that
/// repeats it, and a summary; returns the number of failures. Throws Error where the file is missing (and
/// there is nothing to accept), malformed or of another seed.
[[nodiscard]] std::size_t hold_to_accuracy_baseline(const CheckOptions& options,
                                                    const std::vector<CaseRecord>& records);

}  // namespace hipforge::harness
