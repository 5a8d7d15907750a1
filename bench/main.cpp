// Google Benchmark over the harness's cases; `--benchmark_filter`, `--benchmark_format=json` and the rest are
// its own.

#include "harness/device_info.h"

#include <benchmark/benchmark.h>

#include <cstdio>
#include <exception>

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  try {
    const hipforge::harness::DeviceInfo info = hipforge::harness::device_info();
    benchmark::AddCustomContext("platform", info.platform);
    benchmark::AddCustomContext("device", info.name);
    benchmark::AddCustomContext("compiler", info.compiler);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "hipforge_bench: %s\n", error.what());
    return 3;
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
