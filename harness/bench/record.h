#pragma once

#include "harness/bench/statistics.h"
#include "harness/bench/timer.h"
#include "harness/core/device_info.h"
#include "harness/output/sheet.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

namespace hipforge::harness {

/// What one kernel took on one case: a line of a table, a row of a file.
struct Record {
  std::string id;
  std::string op;
  std::string dtype;
  std::string shape;
  std::string kernel;        ///< empty for ours, else kCandidate
  std::string error;         ///< why there is no figure; empty where there is one
  bool unsupported = false;  ///< by a candidate: neither a figure nor an error
  std::int64_t bytes = 0;
  std::int64_t flops = 0;
  /// Samples in microseconds. A block is a stretch of them; others run between the blocks of a case.
  std::vector<std::vector<double>> blocks_us;
  Timing us;            ///< of the samples of all blocks
  std::string ceiling;  ///< "copy", "read", "write", "matrix"; empty where nothing was measured to compare
  double ceiling_rate = 0.0;   ///< GB/s, or TFLOP/s for "matrix"
  double floor_share = 0.0;    ///< of the ceiling, that must be reached at least; 0: none
  double floor_tflops = 0.0;   ///< likewise
  int copies = 0;              ///< sets of buffers in rotation
  bool cache_flushed = false;  ///< before each sample
  std::size_t checked_elements = 0;
  double worst_error = 0.0;               ///< as a share of its bound, before and after
  std::optional<Judgement> against_ours;  ///< of a candidate

  [[nodiscard]] double gbps() const { return static_cast<double>(bytes) * 1e-3 / us.median; }
  [[nodiscard]] double tflops() const { return static_cast<double>(flops) * 1e-6 / us.median; }
  [[nodiscard]] double share() const;  ///< of the ceiling; 0 where there is none
  [[nodiscard]] bool failed() const { return !error.empty(); }
  [[nodiscard]] bool ended() const { return failed() || unsupported; }  ///< there will be no figure
  [[nodiscard]] bool timed() const { return !ended() && us.median > 0.0; }
  [[nodiscard]] bool has_floor() const { return floor_share > 0.0 || floor_tflops > 0.0; }
  [[nodiscard]] bool reaches_floor() const;
  [[nodiscard]] std::string floor() const;  ///< "85 %", "400 TFLOP/s" or nothing
  [[nodiscard]] std::string name() const;   ///< the id, and whose kernel it is where it is not ours
  /// One more block, its samples in milliseconds as a timer has them.
  void add_block(const std::vector<double>& samples_ms);
};
inline constexpr const char* kCandidate = "candidate";

/// What was timed on one device by one build: what `hipforge_bench --json` and `hipforge bench --json` write,
/// bare or as bench/record.sh wraps it.
struct Run {
  std::string path;     ///< empty: timed by this process
  std::string sources;  ///< their hash; with `toolchain` from the wrapper, or empty
  std::string toolchain;
  DeviceDetails device;
  std::string candidate;  ///< the file of the kernel that was timed beside ours, or empty
  std::string recorded;   ///< UTC, ISO 8601
  std::deque<Record> records;
};

/// With the device and the time at hand. Throws Error where there is no device.
[[nodiscard]] Run make_run(std::deque<Record> records);

/// Throws Error{kNotFound} that names a file which cannot be read, Error{kInvalidArgument} for one that is no
/// result of a bench.
[[nodiscard]] Run read_run(const std::string& path);

/// Every figure and sample, one record a line, put in place whole. Throws Error{kNotFound} for a path that
/// cannot be written.
void write_run(const std::string& path, const Run& run);

/// What add_run() adds to a run.
enum class Adds {
  kBlocks,  ///< blocks of the records that it has: of several processes one result
  kCases,   ///< records that it does not have: of several parts one whole
};
/// A record that failed in one stays failed. Throws Error{kInvalidArgument} where the two are of different
/// sources, compilers or devices, or of other records than is due.
void add_run(Run& whole, Run part, Adds adds);

/// Of each block the one number that is compared. On a GPU the median of its samples. On the cpu platform the
/// least: what else runs on the machine only ever adds time, and takes it from most samples there.
[[nodiscard]] std::vector<double> block_values(const std::string& platform, const Record& record);

/// The table's heading, and a record's line.
void print_heading();
void print_record(const Record& record);

/// Names the cases under their floor, and counts them and those without a figure. False where there is one
/// without, or with `gate` one under its floor.
bool print_verdict(const std::deque<Record>& records, bool gate = false);

/// A row for every record: its time and rates, or why it has none.
[[nodiscard]] Sheet record_sheet(const std::deque<Record>& records);

}  // namespace hipforge::harness
