#pragma once

#include "kernels/runtime/device_buffer.h"
#include "kernels/runtime/launch.h"
#include "kernels/runtime/target.h"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace hipforge {

/// What a harness knows of the launches that follow, so that a replay can ask the oracle again: the same id
/// and seed give the same inputs.
struct RecordedCase {
  struct Operand {
    std::string name;
    std::uintptr_t address = 0;  ///< of its whole allocation
  };
  std::string id;
  std::string op;
  std::string dtype;
  std::uint64_t seed = 0;
  std::vector<Operand> operands{};
};

/// Writes every launch of the process to a folder, for `hipforge replay`: on another machine, on another
/// platform, or through a code object on an emulator.
///
/// The folder holds launches.jsonl, one JSON object a line, and data/, raw files of device memory, each named
/// by the content_name() of its bytes, so that equal contents are kept once. The lines:
///
///   {"hipforge_record": 1, "platform": "cpu", "device": NAME, "architecture": "cpu", "compiler": TEXT}
///     first line: the format's version, and what ran the launches. `architecture` is the device's own.
///   {"table": 0, "allocations": [["0x600000001000", 8448], ...]}
///     all live allocations by rising address, [address, bytes]. Tables count from 0; one is written when it
///     differs from the last one.
///   {"launch": 0, "kernel": "softmax_f32_w64_wave_8", "grid": [4, 1, 1], "block": [128, 1, 1],
///    "shared_bytes": 0, "args": "00e0...", "target": {"architecture": "gfx942", "wave": 64}, "table": 0,
///    "pointers": [[0, 2], [16, 3]], "buffers": [{"allocation": 2, "before": NAME, "after": NAME}, ...],
///    "error": TEXT, "case": {...}}
///     one launch, counted from 0, in the order of the launches. `block` is in threads, `args` the bytes of
///     the kernel's one argument in hex. `pointers` are [byte offset in args, allocation]: every
///     8-byte-aligned word of the args whose value lies in a live allocation; `allocation` counts in the
///     table. `buffers` are the allocations that those pointers reach, with the names of their contents
///     before and after. `error` is there where the launch or its kernel failed; such a launch has no
///     `after`. `case` is there where a harness made the launch:
///       {"run": 0, "id": ID, "op": OP, "dtype": DTYPE, "seed": 1, "phase": "inputs" or "launch",
///        "operands": [["x", 2], ...]}
///     `run` counts the cases run; launches of phase "inputs" made its inputs, and those of phase "launch"
///     are its op, with operands by name, allocation by index.
///   {"end": 1}
///     last line: how many launches there are. A file without it is not whole.
///
/// Memory is little-endian, as it lay. A kernel that follows pointers inside of buffers would need more than
/// this; hipforge has none.
///
/// The folder is written under a temporary name beside its own and renamed by finish(): it is there whole or
/// not at all.
class Recorder final : public LaunchObserver {
 public:
  /// Starts to observe all launches. Throws Error: kInvalidArgument where `folder` exists and is not an empty
  /// folder, kNotFound where it cannot be made, with the system's reason.
  explicit Recorder(std::filesystem::path folder);
  /// Without finish() what was written is removed.
  ~Recorder() override;
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  /// The launches that follow make the inputs of a case, until begin_launches; then they are its op's, until
  /// end_case.
  void begin_case(RecordedCase recorded);
  void begin_launches(std::vector<RecordedCase::Operand> operands);
  void end_case();

  /// Why writing failed (a full disk, say), once it has; from then on every launch fails with it.
  [[nodiscard]] Status status() const;
  /// Stops observing and puts the folder in place. Throws Error with status(), or where renaming fails.
  void finish();

  [[nodiscard]] std::size_t launches() const { return launches_; }
  /// The folder's temporary name, for whoever removes it where a signal ends the process.
  [[nodiscard]] const std::filesystem::path& partial() const { return partial_; }

  Status observe(const LaunchPlan& plan, std::span<const std::byte> args, hipStream_t stream,
                 const std::function<Status()>& run) override;

 private:
  struct Reached;
  Status record(const LaunchPlan& plan, std::span<const std::byte> args, const std::function<Status()>& run,
                Status& launched);
  void write_line(const std::string& line);
  std::string store(std::span<const std::byte> bytes);

  mutable std::mutex mutex_;  // one launch at a time, from its contents before to those after
  std::filesystem::path folder_;
  std::filesystem::path partial_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> lines_;
  std::set<std::string> stored_;
  std::vector<Allocation> table_;
  std::size_t tables_ = 0;
  std::size_t launches_ = 0;
  std::optional<RecordedCase> case_;
  std::size_t case_runs_ = 0;
  bool inputs_made_ = false;
  Status status_;
};

/// 32 hex digits: MurmurHash3's x64 128-bit hash of the bytes, with seed 0 (Appleby, public domain).
[[nodiscard]] std::string content_name(std::span<const std::byte> bytes);

}  // namespace hipforge
