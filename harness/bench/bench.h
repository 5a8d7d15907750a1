#pragma once

#include "harness/bench/ceilings.h"
#include "harness/bench/record.h"
#include "harness/core/case.h"

#include <deque>
#include <list>
#include <string>
#include <vector>

namespace hipforge::harness {

/// The cases of a size worth timing, of these ops (empty: of all): bench cases, and on a GPU the large ones.
[[nodiscard]] std::deque<Case> timed_cases(const std::vector<std::string>& ops);

struct BenchSettings {
  int blocks = 1;        ///< in which each case is timed
  double seconds = 0.0;  ///< of measuring each case and kernel; 0: what its kind of case needs
  CandidateKernel* candidate = nullptr;  ///< timed in turns with ours, on the same operands
};

/// Times cases block by block, in whatever order they come. A kernel's result is checked before its first
/// block and after its last; one that is wrong has no figure. The operands of a case stay where they are
/// until its last block, as long as a quarter of the device's and of the host's memory is free: the oldest go
/// first.
class Bench {
 public:
  explicit Bench(const BenchSettings& settings) : settings_(settings) {}

  /// One more block of a case, of ours and then of the candidate's; after the last one, rates and shares of
  /// the measured ceiling. A case that failed is left alone. `test` must outlive the bench. Throws Error if a
  /// fault left the device unusable.
  void time_block(const Case& test);

  /// In the order of first blocks; of each case ours before the candidate's.
  [[nodiscard]] const std::deque<Record>& records() const { return records_; }

 private:
  // One case's: sets of buffers that rotate, what launches ours and the candidate's kernel on each, and what
  // empties the cache between samples.
  struct Operands {
    const Case* test;
    std::vector<PreparedCase> copies;
    std::vector<std::vector<Launch>> launches;
    Launch flush;
  };
  [[nodiscard]] std::size_t kernels() const { return settings_.candidate == nullptr ? 1 : 2; }
  Operands& operands_of(const Case& test);
  [[nodiscard]] Operands prepare(const Case& test) const;
  Record& record_of(const Case& test, std::size_t kernel);
  void time(Operands& operands, std::size_t kernel, Record& record) const;
  void rate(Record& record, Ceiling ceiling, DType dtype);

  BenchSettings settings_;
  std::deque<Record> records_;
  std::list<Operands> kept_;  // the oldest first
  Ceilings ceilings_;
};

}  // namespace hipforge::harness
