#pragma once

#include <string>

namespace hipforge::harness {

struct ReplayOptions {
  std::string folder{};     ///< a record, see kernels/runtime/recorder.h
  std::string filter{};     ///< a regular expression on "kernel case-id"; empty: every launch
  std::string json_path{};  ///< every launch's outcome; empty: not written
  std::string emulate{};    ///< an AMD architecture whose code object runs on an emulator; empty: the device
  std::string code = "build/amd-code";  ///< folder of code objects, <architecture>/<op>.co
  unsigned jobs = 0;                    ///< emulators at once; 0: one a core
};

/// `hipforge replay`: makes recorded launches again and compares. On the platform and architecture of the
/// recording all bits must be the same. Elsewhere the case that made the launch is prepared again, from its
/// id and seed, and its oracle and bound decide, with guards and inputs checked too; a launch that no case
/// made is passed where the bits are the same, else skipped.
/// Returns an exit code; throws Error where it could not run (no record, a corrupt one, no device),
/// UsageError where no launch matches.
[[nodiscard]] int run_replay(const ReplayOptions& options);

}  // namespace hipforge::harness
