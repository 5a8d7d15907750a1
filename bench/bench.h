#pragma once

#include "bench/report.h"

#include <deque>
#include <string>

namespace hipforge::bench {

/// Registers the bench cases of an op's suite, and on a GPU its large cases; the return value only gives a
/// static something to hold.
int register_op(const std::string& op);

/// In how many blocks each case is timed: how often Google Benchmark is told to repeat it.
void set_blocks(int blocks);

/// What was timed so far, in the order of the first blocks.
[[nodiscard]] const std::deque<Record>& records();

/// Of the case with this id; null where none was timed.
[[nodiscard]] const Record* find_record(const std::string& id);

}  // namespace hipforge::bench

/// One line per op: `HIPFORGE_BENCH(rms_norm)`.
#define HIPFORGE_BENCH(OP) static const int hipforge_bench_##OP = ::hipforge::bench::register_op(#OP);
