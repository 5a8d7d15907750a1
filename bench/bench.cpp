#include "bench/bench.h"

#include "harness/case.h"
#include "harness/device_info.h"
#include "kernels/runtime/check.h"
#include "kernels/runtime/event.h"

#include <benchmark/benchmark.h>

#include <algorithm>

namespace hipforge::bench {
namespace {

// Times launches by events on the device. The result is checked before and after: a wrong kernel gets no
// number.
void run_case(benchmark::State& state, const harness::Case& test) {
  try {
    harness::CaseEnvironment environment;
    throw_if_error(current_target(environment.target));
    harness::PreparedCase prepared = test.prepare(environment);
    const auto launch_and_check = [&](const char* when) {
      throw_if_error(prepared.rig->reset());
      throw_if_error(prepared.launch(nullptr));
      const harness::CaseResult result = harness::check_case(prepared);
      if (!result.passed) throw Error(invalid_argument("wrong ", when, " timing: ", result.message));
    };
    launch_and_check("before");
    const Event start;
    const Event stop;
    for (auto _ : state) {
      throw_if_error(start.record(nullptr));
      throw_if_error(prepared.launch(nullptr));
      throw_if_error(stop.record(nullptr));
      throw_if_error(stop.synchronize());
      float milliseconds = 0.0f;
      throw_if_error(stop.elapsed_ms(start, milliseconds));
      state.SetIterationTime(std::max(static_cast<double>(milliseconds) * 1e-3, 1e-9));
    }
    launch_and_check("after");
    using benchmark::Counter;
    const auto iterations = static_cast<double>(state.iterations());
    state.counters["bytes"] = static_cast<double>(prepared.bytes);
    state.counters["GB/s"] =
        Counter(static_cast<double>(prepared.bytes) * 1e-9 * iterations, Counter::kIsRate);
    if (prepared.flops > 0) {
      state.counters["TFLOP/s"] =
          Counter(static_cast<double>(prepared.flops) * 1e-12 * iterations, Counter::kIsRate);
    }
  } catch (const std::exception& error) {
    state.SkipWithError(error.what());
  }
}

}  // namespace

int register_op(const std::string& op) {
  int count = 0;
  for (const harness::OpSuite& suite : harness::all_suites()) {
    if (suite.op != op) continue;
    for (const harness::Case& test : suite.bench_cases) {
      benchmark::RegisterBenchmark(test.id.c_str(),
                                   [&test](benchmark::State& state) { run_case(state, test); })
          ->UseManualTime()
          ->Unit(benchmark::kMicrosecond);
      ++count;
    }
  }
  return count;
}

}  // namespace hipforge::bench
