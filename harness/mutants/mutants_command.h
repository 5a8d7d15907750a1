#pragma once

#include <string>
#include <vector>

namespace hipforge::harness {

struct MutantsOptions {
  bool hand_made = false;
  bool generated = false;        ///< neither: the hand-made
  bool race = false;             ///< only races, and only by hipforge check --race
  std::string folder;            ///< of mutant builds, hand/ and generated/ in it
  std::vector<std::string> ops;  ///< only these
  std::string id;                ///< only ids that match this regular expression
  int jobs = 2;                  ///< mutants at a time
  bool list = false;
  std::string json_path;
};

/// The share of generated mutants that the suite must catch, of those that are not listed as equivalent.
inline constexpr double kGeneratedShare = 0.95;

/// `hipforge mutants`: runs the ordinary suite against every mutant of a build and says which it caught, and
/// by which check; first against the same build with no mutant on, which must pass. Returns kExitFailed where
/// that fails, where a hand-made mutant survives, where under kGeneratedShare of the generated are caught, or
/// where a generated survivor has no reason in the list of reasons. Throws Error where there is no mutant
/// build.
[[nodiscard]] int run_mutants(const MutantsOptions& options);

}  // namespace hipforge::harness
