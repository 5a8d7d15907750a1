// Times the harness's cases. Google Benchmark selects and lists (`--benchmark_filter`,
// `--benchmark_list_tests`); timing, checking and reporting are ours.

#include "bench/bench.h"
#include "bench/table.h"
#include "harness/system/exit_code.h"
#include "harness/output/sheet.h"
#include "harness/core/device_info.h"
#include "harness/system/file.h"

#include <benchmark/benchmark.h>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <exception>
#include <string>
#include <vector>

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
  // Of all blocks of one case together, and once more for Google Benchmark's own means.
  void ReportRuns(const std::vector<Run>& runs) override {
    if (runs.empty() || runs.front().run_type == Run::RT_Aggregate) return;
    const hipforge::bench::Record* record = hipforge::bench::find_record(runs.front().run_name.function_name);
    if (record != nullptr) hipforge::bench::print_record(*record);
  }

  /// Why there is no device to time on; empty where there is.
  [[nodiscard]] const std::string& no_device() const { return no_device_; }

 private:
  std::string no_device_;
};

// Google Benchmark's flags are what is left of the command line. Blocks are its repetitions, in an order
// drawn anew each time: no case always follows the same one.
void initialize(const char* program, std::vector<std::string> flags, int blocks) {
  flags.insert(flags.begin(), program);
  if (blocks > 1) {
    flags.push_back(fmt::format("--benchmark_repetitions={}", blocks));
    flags.emplace_back("--benchmark_enable_random_interleaving=true");
  }
  std::vector<char*> arguments;
  for (std::string& flag : flags) arguments.push_back(flag.data());
  auto count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (count > 1) throw CLI::ExtrasError({arguments[1]});
}

}  // namespace

int main(int argc, char** argv) {
  using namespace hipforge::harness;
  CLI::App app{"hipforge_bench: are the kernels fast? (--benchmark_filter=REGEX, --benchmark_list_tests)"};
  app.allow_extras();
  std::string json_path;
  std::string csv_path;
  std::string markdown_path;
  bool append = false;
  bool gate = false;
  int blocks = 1;
  CLI::Option* json = app.add_option("--json", json_path, "Write every figure and sample as JSON");
  app.add_option("--csv", csv_path, "Write the table as CSV");
  app.add_option("--markdown", markdown_path, "Write the table as Markdown");
  app.add_flag("--append", append, "Add the blocks to those that the JSON file already holds")->needs(json);
  app.add_option("--blocks", blocks,
                 "Spread each case's samples over this many stretches, other cases between them: what "
                 "hipforge compare needs to tell a change from drift")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_flag("--gate", gate, "Exit 1 where a case is under its floor");
  hipforge::bench::TableOptions table;
  CLI::Option* print_table = app.add_option("--table", table.bench_path,
                                            "Time nothing: print what this result file holds as Markdown");
  app.add_option("--peers", table.peers_path, "With --table: the peers.json to set beside it")
      ->needs(print_table);
  app.add_option("--dtype", table.dtype, "With --table: only this dtype")->needs(print_table);
  try {
    app.parse(argc, argv);
    initialize(argv[0], app.remaining(), blocks);
    if (print_table->count() > 0) {
      fmt::print("{}", hipforge::bench::markdown_table(table));
      return kExitGood;
    }
    hipforge::bench::set_blocks(blocks);
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
    if (!json_path.empty()) hipforge::bench::write_json(json_path, hipforge::bench::records(), append);
    const Sheet sheet = hipforge::bench::record_sheet(hipforge::bench::records());
    if (!csv_path.empty()) write_file(csv_path, csv(sheet));
    if (!markdown_path.empty()) write_file(markdown_path, markdown(sheet));
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
