#pragma once

#include <string>
#include <vector>

namespace hipforge::harness {

/// A defect that a mutant build (cmake -DHIPFORGE_MUTANTS=ON) holds beside the code, see
/// tests/mutants/plant.py.
struct Mutant {
  int number = 0;  ///< what HIPFORGE_MUTANT is to be; 0 is the code as it is
  std::string id;  ///< "softmax.first_wave_only"
  std::string op;  ///< whose suite is run: an op, "runtime" or "kv_cache"
  std::string kind;
  std::string chronicle;  ///< row of the bug chronicle, or empty
  std::string what;
  std::string where;        ///< "kernels/device/reduce.h:66"
  std::string reason;       ///< why it survives, where that is known
  std::string left_out;     ///< why it cannot show on the build's platform; empty: it can
  bool equivalent = false;  ///< the reason is that it does what the code does
};

/// A folder with the suite's programs, linked with the mutants' library.
struct MutantBuild {
  std::string folder;
  std::string platform;
  std::vector<Mutant> mutants;
  /// Generated ones that are no mutants: their code does not compile.
  int discarded = 0;
};

/// Reads FOLDER/mutants.json. Throws Error{kNotFound} or {kInvalidArgument} that names the file.
[[nodiscard]] MutantBuild read_mutant_build(const std::string& folder);

/// One program of the ordinary suite as `hipforge mutants` runs it: the part of it that concerns an op.
struct SuiteStep {
  std::string check;                 ///< what is said to have caught a mutant: "check", "kernels_test", …
  std::vector<std::string> command;  ///< program, relative to the build's folder, and arguments
  std::vector<std::string> variables{};  ///< "NAME=value"
  std::vector<std::string> under{};      ///< a tool by its path and its arguments, which runs the command

  friend bool operator==(const SuiteStep&, const SuiteStep&) = default;
};

/// What is run for an op's mutants on a platform, in this order, until something fails.
[[nodiscard]] std::vector<SuiteStep> suite_of(const std::string& op, const std::string& platform);

/// What is run for those that survive that, and takes minutes: the op's full check, and on nvidia the short
/// one under each tool of compute-sanitizer, where that is found.
[[nodiscard]] std::vector<SuiteStep> thorough_suite_of(const std::string& op, const std::string& platform);

/// The race check alone, for a build of the preset cpu-race.
[[nodiscard]] std::vector<SuiteStep> race_suite_of(const std::string& op, const std::string& platform);

/// How a step went.
struct StepOutcome {
  bool failed = false;
  std::string by;     ///< check and what failed in it, where something did
  std::string check;  ///< alone; "timeout" or "fault" where the process did not end by itself
  double seconds = 0.0;
};

/// Runs a step with one mutant on, to its first failure.
[[nodiscard]] StepOutcome run_step(const MutantBuild& build, const SuiteStep& step, int mutant,
                                   double timeout_s);

}  // namespace hipforge::harness
