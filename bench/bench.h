#pragma once

#include <string>

namespace hipforge::bench {

/// Registers the bench cases of an op's suite; the return value only gives a static something to hold.
int register_op(const std::string& op);

}  // namespace hipforge::bench

/// One line per op: `HIPFORGE_BENCH(rms_norm)`.
#define HIPFORGE_BENCH(OP) static const int hipforge_bench_##OP = ::hipforge::bench::register_op(#OP);
