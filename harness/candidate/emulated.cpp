#include "harness/candidate/emulated.h"

#include "harness/candidate/candidate.h"
#include "harness/check/check_command.h"
#include "harness/replay/emulation.h"
#include "harness/replay/replay_command.h"
#include "harness/system/cleanup.h"
#include "harness/system/exit_code.h"

#include <fmt/format.h>

#include <filesystem>

namespace hipforge::harness {

int run_emulated_candidate(const CheckOptions& options) {
  require_usable(options);
  if (options.candidate_path.empty()) {
    throw UsageError("--emulate goes with --candidate; our own code: hipforge replay");
  }
  if (candidate_kind(options.candidate_path) != CandidateKind::kCodeObject) {
    throw Error(invalid_argument("candidate ", options.candidate_path,
                                 " is no AMD code object, which is what --emulate runs"));
  }
  const TemporaryFolder folder;
  ReplayOptions replay;
  replay.folder = folder.path() / "record";
  replay.emulate = options.emulate;
  replay.code = folder.path() / "code";
  const std::filesystem::path code = folder.path() / "code" / options.emulate;
  std::filesystem::create_directories(code);
  std::filesystem::copy_file(options.candidate_path, code / (options.ops.front() + ".co"));
  (void)find_emulation(replay.emulate, replay.code);  // before anything runs

  CheckOptions record = options;
  record.candidate_path.clear();
  record.emulate.clear();
  record.target = options.emulate;
  record.emulatable = true;
  record.record_path = replay.folder;
  fmt::print("our own kernels, recorded as {} would launch them:\n", options.emulate);
  if (const int code_of_check = run_check(record); code_of_check != kExitGood) return code_of_check;
  fmt::print("{} on the emulator:\n", options.candidate_path);
  return run_replay(replay);
}

}  // namespace hipforge::harness
