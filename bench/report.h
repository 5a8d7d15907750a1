#pragma once

#include "harness/bench/ceilings.h"
#include "harness/output/sheet.h"
#include "harness/core/case.h"

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

namespace hipforge::bench {

/// One case as it was timed.
struct Record {
  const harness::Case* test = nullptr;
  std::string error;  ///< why there is no figure; empty where there is one
  std::int64_t bytes = 0;
  std::int64_t flops = 0;
  /// Of all blocks. A block is a stretch of samples over buffers of its own; others run between a case's
  /// blocks.
  harness::Timing timing;
  std::vector<std::vector<double>> blocks_ms;
  int copies = 0;        ///< sets of buffers in rotation
  bool flushed = false;  ///< the cache was emptied before each sample
  double gbps = 0.0;
  double tflops = 0.0;
  std::string ceiling;  ///< "copy", "read", "write", "matrix"; empty where nothing was measured to compare
  double ceiling_rate = 0.0;  ///< GB/s, or TFLOP/s for "matrix"
  double share = 0.0;         ///< of the ceiling
  std::size_t checked_elements = 0;
  double worst_error = 0.0;  ///< as a share of its bound, before and after
  [[nodiscard]] bool has_floor() const { return test->floor_share > 0.0 || test->floor_tflops > 0.0; }
  [[nodiscard]] bool reaches_floor() const {
    return error.empty() && share >= test->floor_share && tflops >= test->floor_tflops;
  }
};

/// Sets the timing of a record to that of all its blocks.
void join_blocks(Record& record);

/// The table's heading, and a record's line.
void print_heading();
void print_record(const Record& record);
/// Names the cases without a figure and those under their floor; returns their numbers.
struct Verdict {
  int errors = 0;
  int under_floor = 0;
  int with_floor = 0;
};
Verdict print_verdict(const std::deque<Record>& records);

/// Everything with device, compiler and every sample of every block, one case a line, at `path`, put in place
/// whole. With `append` the blocks of a file already there stand before the new ones: of several processes
/// one result. Throws Error{kNotFound} for a path that cannot be written, Error{kInvalidArgument} for a file
/// that is of another device or of other cases.
void write_json(const std::string& path, const std::deque<Record>& records, bool append);

/// A row for every case: its time and rates, or why it has none.
[[nodiscard]] harness::Sheet record_sheet(const std::deque<Record>& records);

}  // namespace hipforge::bench
