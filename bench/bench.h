#pragma once

#include "bench/report.h"

#include <string>
#include <vector>

namespace hipforge::bench {

/// Registers the bench cases of an op's suite, and on a GPU its large cases; the return value only gives a
/// static something to hold.
int register_op(const std::string& op);

/// What was timed so far, in order.
[[nodiscard]] const std::vector<Record>& records();

}  // namespace hipforge::bench

/// One line per op: `HIPFORGE_BENCH(rms_norm)`.
#define HIPFORGE_BENCH(OP) static const int hipforge_bench_##OP = ::hipforge::bench::register_op(#OP);
