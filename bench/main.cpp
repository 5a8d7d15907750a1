// Times the harness's cases. Google Benchmark selects and lists (`--benchmark_filter`,
// `--benchmark_list_tests`); timing, checking and reporting are ours.

#include "bench/bench.h"
#include "bench/table.h"
#include "harness/check_command.h"
#include "harness/device_info.h"

#include <benchmark/benchmark.h>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <exception>
#include <string>

namespace {

// Prints each record when its benchmark is done.
class TableReporter final : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override {
    try {
      const hipforge::harness::DeviceInfo info = hipforge::harness::device_info();
      fmt::print("{} on {}, {}\n", info.platform, info.name, info.compiler);
    } catch (const std::exception& error) {
      no_device_ = error.what();
      return false;
    }
    hipforge::bench::print_heading();
    return true;
  }
  void ReportRuns(const std::vector<Run>&) override {
    const auto& records = hipforge::bench::records();
    for (; printed_ < records.size(); ++printed_) hipforge::bench::print_record(records[printed_]);
  }

  /// Why there is no device to time on; empty where there is.
  [[nodiscard]] const std::string& no_device() const { return no_device_; }

 private:
  std::string no_device_;
  std::size_t printed_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  using namespace hipforge::harness;
  benchmark::Initialize(&argc, argv);
  CLI::App app{"hipforge_bench: are the kernels fast? (--benchmark_filter=REGEX, --benchmark_list_tests)"};
  std::string json_path;
  bool gate = false;
  app.add_option("--json", json_path, "Write every figure and sample as JSON");
  app.add_flag("--gate", gate, "Exit 1 where a case is under its floor");
  hipforge::bench::TableOptions table;
  CLI::Option* print_table = app.add_option("--table", table.bench_path,
                                            "Time nothing: print what this bench.json holds as Markdown");
  app.add_option("--peers", table.peers_path, "With --table: the peers.json to set beside it")
      ->needs(print_table);
  app.add_option("--dtype", table.dtype, "With --table: only this dtype")->needs(print_table);
  try {
    app.parse(argc, argv);
    if (print_table->count() > 0) {
      fmt::print("{}", hipforge::bench::markdown_table(table));
      return kExitGood;
    }
    TableReporter reporter;
    if (benchmark::RunSpecifiedBenchmarks(&reporter) == 0)
      return kExitUsage;  // which says what did not match
    benchmark::Shutdown();
    if (!reporter.no_device().empty()) {
      fmt::print(stderr, "hipforge_bench: {}\n", reporter.no_device());
      return kExitCannotRun;
    }
    if (hipforge::bench::records().empty()) return kExitGood;  // they were listed
    const hipforge::bench::Verdict verdict = hipforge::bench::print_verdict(hipforge::bench::records());
    if (!json_path.empty()) hipforge::bench::write_json(json_path, hipforge::bench::records());
    return verdict.errors > 0 || (gate && verdict.under_floor > 0) ? kExitFailed : kExitGood;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    fmt::print(stderr, "hipforge_bench: {}\n", error.what());
    return kExitUsage;
  } catch (const std::exception& error) {
    fmt::print(stderr, "hipforge_bench: {}\n", error.what());
    return kExitCannotRun;
  }
}
