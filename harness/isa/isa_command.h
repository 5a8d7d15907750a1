#pragma once

#include <optional>
#include <string>
#include <vector>

namespace hipforge::harness {

struct IsaOptions {
  std::string folder = "build/amd-code";   ///< code objects, ARCHITECTURE/OP.co, and toolchain.json
  std::vector<std::string> architectures;  ///< empty: all that the folder has
  std::string kernel;                      ///< a regular expression; empty: all
  std::string baseline = "results/amd-isa.json";
  std::optional<std::string> accept;  ///< the reason
  std::string json_path;
  std::string cubin;  ///< look at this NVIDIA binary instead
};

/// `hipforge isa`: prints what the machine code of each kernel takes and does in its hot loop, and compares
/// it with the baseline of the toolchain that made it (toolchain.json, which the build of the code objects
/// writes). A kernel fails that breaks a limit (broken_limits) or got worse (regressions). One that the
/// baseline lacks, by itself or because it lacks the whole toolchain, is held to the limits alone and counts
/// as skipped until `accept` takes it in; one that is gone is named. `accept` makes what is selected the
/// baseline, with reason and date, and drops what is gone; what breaks a limit cannot be accepted. Returns an
/// exit code; throws Error where a file or a tool is missing or malformed, UsageError for what cannot be asked
/// for.
[[nodiscard]] int run_isa(const IsaOptions& options);

}  // namespace hipforge::harness
