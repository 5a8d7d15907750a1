#pragma once

#include "harness/check/check_options.h"

namespace hipforge::harness {

/// `hipforge check --candidate FILE --op OP --emulate ARCHITECTURE`: records the op's launches for that
/// architecture and replays them with the code object FILE on an emulator (harness/replay/replay_command.h).
/// Returns an exit code; throws Error where it cannot run.
[[nodiscard]] int run_emulated_candidate(const CheckOptions& options);

}  // namespace hipforge::harness
