// Times the harness's cases. Google Benchmark selects, lists and orders them (`--benchmark_filter`,
// `--benchmark_list_tests`); timing, checking and reporting are harness/bench/bench.h's.

#include "bench/table.h"
#include "harness/bench/bench.h"
#include "harness/cli/number_option.h"
#include "harness/core/device_info.h"
#include "harness/core/selection.h"
#include "harness/output/sheet.h"
#include "harness/system/file.h"

#include <benchmark/benchmark.h>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <ranges>
#include <string>
#include <vector>

namespace {

using namespace hipforge::harness;

// Prints each record when its benchmark is done.
class TableReporter final : public benchmark::BenchmarkReporter {
 public:
  explicit TableReporter(const Bench& bench) : bench_(bench) {}

  bool ReportContext(const Context&) override {
    const DeviceInfo info = device_info();
    fmt::print("{} on {}, {}\n", info.platform, info.name, info.compiler);
    print_heading();
    return true;
  }
  // Of all blocks of one case together, and once more for Google Benchmark's own means.
  void ReportRuns(const std::vector<Run>& runs) override {
    if (runs.empty() || runs.front().run_type == Run::RT_Aggregate) return;
    print_record(*std::ranges::find(bench_.records(), runs.front().run_name.function_name, &Record::id));
  }

 private:
  const Bench& bench_;
};

void register_case(const Case& test, Bench& bench) {
  const auto run_block = [&](benchmark::State& state) {
    bench.time_block(test);
    const Record& record = *std::ranges::find(bench.records(), test.id, &Record::id);
    // The samples are the timer's; Google Benchmark is told their median.
    for (auto _ : state) state.SetIterationTime(std::max(record.us.median * 1e-6, 1e-9));
    if (record.failed()) state.SkipWithError(record.error.c_str());
  };
  benchmark::RegisterBenchmark(test.id.c_str(), run_block)
      ->UseManualTime()
      ->Iterations(1)
      ->Unit(benchmark::kMicrosecond);
}

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
  CLI::App app{"hipforge_bench: are the kernels fast? (--benchmark_filter=REGEX, --benchmark_list_tests)"};
  app.allow_extras();
  std::vector<std::string> ops;
  std::string json_path;
  std::string csv_path;
  std::string markdown_path;
  std::vector<std::string> part_paths;
  bool append = false;
  bool gate = false;
  int blocks = 1;
  app.add_option("--op", ops, "Only these ops")->delimiter(',')->check(CLI::IsMember(op_names()));
  CLI::Option* json = app.add_option("--json", json_path, "Write every figure and sample as JSON");
  app.add_option("--csv", csv_path, "Write the table as CSV");
  app.add_option("--markdown", markdown_path, "Write the table as Markdown");
  app.add_flag("--append", append, "Add the blocks to those that the JSON file already holds")->needs(json);
  add_number(app, "--blocks", blocks,
             "Spread each case's samples over this many stretches, other cases between them: what "
             "hipforge compare needs to tell a change from drift",
             {1, 1000});
  app.add_option("--join", part_paths, "Time nothing: read these result files, parts of one run");
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
    Run run;
    if (!part_paths.empty()) {
      run = read_run(part_paths.front());
      for (std::size_t i = 1; i < part_paths.size(); ++i) add_run(run, read_run(part_paths[i]), Adds::kCases);
    } else {
      const std::deque<Case> cases = timed_cases(ops);
      Bench bench({.blocks = blocks});
      for (const Case& test : cases) register_case(test, bench);
      TableReporter reporter(bench);
      if (benchmark::RunSpecifiedBenchmarks(&reporter) == 0)
        return kExitUsage;  // which says what did not match
      benchmark::Shutdown();
      if (bench.records().empty()) return kExitGood;  // they were listed
      run = make_run(bench.records());
    }
    if (append && std::filesystem::exists(json_path)) {
      Run whole = read_run(json_path);
      add_run(whole, std::move(run), Adds::kBlocks);
      run = std::move(whole);
    }
    const bool good = print_verdict(run.records, gate);
    if (!json_path.empty()) write_run(json_path, run);
    const Sheet sheet = record_sheet(run.records);
    if (!csv_path.empty()) write_file(csv_path, csv(sheet));
    if (!markdown_path.empty()) write_file(markdown_path, markdown(sheet));
    return good ? kExitGood : kExitFailed;
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    fmt::print(stderr, "hipforge_bench: {}\n", error.what());
    return kExitUsage;
  } catch (const std::exception& error) {
    fmt::print(stderr, "hipforge_bench: {}\n", error.what());
    return kExitCannotRun;
  }
}
