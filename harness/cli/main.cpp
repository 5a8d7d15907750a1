// The `hipforge` command.

#include "harness/bench/bench_command.h"
#include "harness/bench/compare_command.h"
#include "harness/bench/devices_command.h"
#include "harness/candidate/candidate.h"
#include "harness/check/check_command.h"
#include "harness/cli/number_option.h"
#include "harness/isa/isa_command.h"
#include "harness/mutants/mutants_command.h"
#include "harness/replay/replay_command.h"
#include "harness/report/report_command.h"
#include "harness/study/accuracy_study.h"
#include "harness/system/exit_code.h"
#include "harness/system/file.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <exception>
#include <filesystem>
#include <string>

int main(int argc, char** argv) {
  using namespace hipforge::harness;
  CLI::App app{"hipforge: are the kernels right?"};
  app.set_version_flag("--version", HIPFORGE_VERSION);
  app.require_subcommand(1);

  CheckOptions options;
  options.program = argv[0];
  options.arguments.assign(argv + 1, argv + argc);
  CLI::App* check = app.add_subcommand("check", "Run every case of every op against its oracle");
  check->add_option("--op", options.ops, "Only these ops")->delimiter(',');
  check->add_option("--dtype", options.dtypes, "Only these activation dtypes: f32, f16, bf16")
      ->delimiter(',');
  add_numbers(*check, "--wave", options.waves, "Wave sizes, 32 or 64 (cpu platform; default: both)");
  check->add_option("--target", options.target, "Launch exactly what this architecture would get");
  check->add_option("--filter", options.filter, "Only cases whose id matches this regular expression");
  check->add_option("--case", options.case_id, "Only the case of this id, or a variant, ID@NAME=VALUE,...")
      ->check([](const std::string& id) { return std::string(id.empty() ? "an id is needed" : ""); });
  add_number(*check, "--seed", options.seed, "Seed of the inputs");
  check->add_flag("--quick", options.quick, "The short selection");
  check->add_option_function<std::string>(
      "--shard",
      [&](const std::string& text) {
        if (!parse_shard(text, options)) {
          throw CLI::ValidationError("--shard", "'" + text + "' is not K/N with K from 0 to N - 1");
        }
      },
      "K/N: of the selected cases every N-th, from the K-th on (0 to N - 1)");
  check->add_flag(
      "--race", options.race,
      "Every access nothing orders, and every read of memory nobody wrote, fails (preset cpu-race)");
  add_number(*check, "--schedules", options.schedules,
             "With --race: orders of threads and blocks to try, by seed, where they can matter",
             {1, 1'000'000})
      ->needs("--race");
  check->add_flag("--emulatable", options.emulatable,
                  "Few small cases with every kernel of the target and every feature, for replay --emulate");
  check->add_option("--json", options.files.json, "Write every result as JSON");
  check->add_option("--junit", options.files.junit, "Write every result as JUnit XML");
  check->add_option("--csv", options.files.csv, "Write every result as CSV");
  check->add_option("--markdown", options.files.markdown, "Write the table and the failures as Markdown");
  check->add_option("--record", options.record_path,
                    "Write every launch to this new folder, for hipforge replay");
  check->add_option("--candidate", options.candidate_path,
                    "Check this kernel for one --op: HIP source, a shared library or an AMD code object, see "
                    "hipforge_candidate.h");
  check->add_option("--candidate-built", options.candidate_built)->group("");
  check->add_option("--emulate", options.emulate,
                    "Run a candidate's AMD code object on an emulator of this architecture");
  check->add_flag("--fail-fast", options.fail_fast, "Stop at the first failure");
  add_number(*check, "--shrink", options.shrink_seconds,
             "Seconds in which to look for the smallest case that fails as one does; 0: none",
             kFromZero<double>);
  check->add_flag("--isolate", options.isolate,
                  "Cases in processes of their own: a crash, a hang or no memory fails a case, not the run");
  add_number(*check, "--timeout", options.timeout_s, "With --isolate: seconds of a case", kAboveZero<double>)
      ->needs("--isolate");
  add_number(*check, "--memory-limit", options.memory_limit_mib,
             "With --isolate: MiB of a process (default: three quarters of what is available)",
             kAboveZero<std::int64_t>)
      ->default_str("")
      ->needs("--isolate");
  check->add_flag("--serve-cases", options.serve)->group("");
  check->add_option(
      "--explain", options.explain,
      "Run this case alone (its id, or a regular expression) and show its worst elements and bound");
  check
      ->add_option_function<std::vector<std::string>>(
          "--baseline",
          [&](const std::vector<std::string>& file) { options.baseline = file.empty() ? "" : file.front(); },
          "Fail where a share of the bound grew by half against this file "
          "(default: results/<device>/accuracy.json)")
      ->expected(0, 1);
  check->add_option("--accept", options.accept, "Make the shares the baseline, for this reason");
  check->add_flag("--list", options.list, "Print the ids of the selected cases and run nothing");
  check->add_flag("--coverage", options.coverage,
                  "Count cases by feature, dtype, wave and layout; fail on a hole");

  CompareOptions compare_options;
  CLI::App* compare =
      app.add_subcommand("compare", "Did anything become slower, by a rank test over blocks?");
  compare->add_option("before", compare_options.before_path, "What hipforge_bench --json wrote")->required();
  compare->add_option("after", compare_options.after_path, "The same of the build in question")->required();
  compare->add_option_function<std::string>(
      "--max-regression",
      [&](const std::string& text) {
        if (!parse_percent(text, compare_options.max_regression)) {
          throw CLI::ValidationError("--max-regression", "'" + text + "' is no percentage from 0 to 1000");
        }
      },
      "How much slower is allowed (default: 3%, on the cpu platform 10%)");
  compare->add_option("--json", compare_options.json_path, "Write every verdict as JSON");
  compare->add_option("--csv", compare_options.csv_path, "Write the table as CSV");
  compare->add_option("--markdown", compare_options.markdown_path, "Write the table as Markdown");

  ReportOptions report_options;
  report_options.version = HIPFORGE_VERSION;
  CLI::App* report = app.add_subcommand("report", "One page with everything that was measured and checked");
  report->add_option("-o,--output", report_options.output_path, "The page to write")->required();
  report->add_option("--results", report_options.results_folder, "Folder of results, one folder a device")
      ->capture_default_str();
  report->add_option("--check", report_options.check_paths,
                     "What hipforge check --json wrote; may be repeated");
  report->add_option("--tree", report_options.tree_folder, "The sources that results are stale against")
      ->capture_default_str();

  StudyOptions study_options;
  CLI::App* study = app.add_subcommand(
      "accuracy-study",
      "How the error of attention, softmax and weighted_matmul grows with the number of keys");
  study->add_option("-o,--json", study_options.json_path, "Write every point as JSON");
  study->add_option("--svg", study_options.svg_path, "Write a plot");
  add_number(*study, "--max-kv-len", study_options.max_kv_len, "The most keys",
             {2 * kStudyMinKvLen, kStudyMostKvLen});
  add_number(*study, "--wave", study_options.wave, "Wave size, 32 or 64 (cpu platform; default: the first)")
      ->check(CLI::IsMember({"32", "64"}))
      ->default_str("");
  add_number(*study, "--seed", study_options.seed, "Seed of the inputs");
  study->add_flag("--record", study_options.record, "Write results/<device>/accuracy_study.json and .svg");
  study->add_option("--sources", study_options.sources, "The hash of the sources, for the JSON file");

  BenchOptions bench_options;
  CLI::App* bench = app.add_subcommand("bench", "Time kernels, or someone else's against ours");
  bench->add_option("--op", bench_options.ops, "Only these ops")->delimiter(',');
  bench->add_option("--dtype", bench_options.dtypes, "Only these activation dtypes")->delimiter(',');
  bench->add_option("--filter", bench_options.filter, "Only cases whose id matches this regular expression");
  bench->add_option("--candidate", bench_options.candidate_path,
                    "Time this kernel for one --op against ours, see hipforge_candidate.h");
  add_number(*bench, "--seconds", bench_options.seconds, "Of measuring, for each case and kernel",
             kAboveZero<double>);
  bench->add_option("--json", bench_options.json_path, "Write every figure and sample as JSON");

  bool candidate_header = false;
  std::string candidate_output = "-";
  CLI::App* candidate = app.add_subcommand("candidate", "What a kernel of someone else's is offered through");
  candidate
      ->add_flag("--header", candidate_header,
                 "hipforge_candidate_ops.h: every op's params and function, in C")
      ->required();
  candidate->add_option("-o,--output", candidate_output, "The file to write; -: standard output")
      ->capture_default_str();

  DevicesOptions devices_options;
  CLI::App* devices = app.add_subcommand("devices", "What each device is, and what it is measured to reach");
  devices->add_option("--json", devices_options.json_path, "Write it all as JSON");
  devices->add_flag("--quick", devices_options.quick, "Measure for a tenth of the time, not to be quoted");

  IsaOptions isa_options;
  CLI::App* isa = app.add_subcommand("isa", "Examine the machine code of every kernel for AMD GPUs");
  isa->add_option("--dir", isa_options.folder, "Folder of code objects, ARCHITECTURE/OP.co")
      ->capture_default_str();
  isa->add_option("--arch", isa_options.architectures, "Only these architectures")->delimiter(',');
  isa->add_option("--kernel", isa_options.kernel, "Only kernels whose name matches this regular expression");
  isa->add_option("--baseline", isa_options.baseline, "What the figures are compared with")
      ->capture_default_str();
  isa->add_option("--accept", isa_options.accept, "Make the figures the baseline, for this reason");
  isa->add_option("--json", isa_options.json_path, "Write every figure as JSON");
  isa->add_option("--cubin", isa_options.cubin,
                  "Look for matrix instructions in the kernels of this NVIDIA binary instead");

  ReplayOptions replay_options;
  CLI::App* replay = app.add_subcommand("replay", "Make recorded launches again and compare");
  replay->add_option("record", replay_options.folder, "A folder that --record wrote")->required();
  replay->add_option("--filter", replay_options.filter,
                     "Only launches whose kernel or case id matches this regular expression");
  replay->add_option("--emulate", replay_options.emulate,
                     "Run this AMD architecture's code objects on an emulator, not this build's kernels");
  replay->add_option("--code", replay_options.code, "Folder of code objects, ARCHITECTURE/OP.co")
      ->capture_default_str();
  add_number(*replay, "--jobs", replay_options.jobs, "Emulators at once (default: one a core)", {1, 1024})
      ->default_str("");
  replay->add_option("--json", replay_options.json_path, "Write every launch's outcome as JSON");

  MutantsOptions mutants_options;
  std::error_code no_link;
  // Where this build puts them: beside this program.
  mutants_options.folder = std::filesystem::read_symlink("/proc/self/exe", no_link).parent_path() / "mutants";
  CLI::App* mutants =
      app.add_subcommand("mutants", "Does the suite catch defects that are planted on purpose?");
  mutants->add_flag("--hand-made", mutants_options.hand_made, "Those made by hand (the default)");
  mutants->add_flag("--generated", mutants_options.generated, "Those that a script made");
  mutants->add_flag("--race", mutants_options.race,
                    "Only planted races, and only by check --race (preset cpu-race)");
  mutants->add_option("--op", mutants_options.ops, "Only mutants of these ops")->delimiter(',');
  mutants->add_option("--id", mutants_options.id, "Only mutants whose id matches this regular expression");
  mutants->add_option("--dir", mutants_options.folder, "Folder of mutant builds")->capture_default_str();
  add_number(*mutants, "--jobs", mutants_options.jobs, "Mutants at a time", {1, 1024});
  mutants->add_flag("--list", mutants_options.list, "Print the mutants and run nothing");
  mutants->add_option("--json", mutants_options.json_path, "Write every verdict as JSON");

  try {
    app.parse(argc, argv);
    if (candidate->parsed()) {
      if (candidate_output == "-") fmt::print("{}", candidate_ops_header());
      if (candidate_output != "-") write_file(candidate_output, candidate_ops_header());
      return kExitGood;
    }
    if (compare->parsed()) return run_compare(compare_options);
    if (report->parsed()) return run_report(report_options);
    if (study->parsed()) return run_accuracy_study(study_options);
    if (bench->parsed()) return run_bench(bench_options);
    if (devices->parsed()) return run_devices(devices_options);
    if (isa->parsed()) return run_isa(isa_options);
    if (replay->parsed()) return run_replay(replay_options);
    if (mutants->parsed()) return run_mutants(mutants_options);
    return run_check(options);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    const bool unknown = argc > 1 && app.get_subcommands().empty() && argv[1][0] != '-';
    fmt::print(stderr, "hipforge: {}{}{}\n", unknown ? argv[1] : "", unknown ? " is no command: " : "",
               error.what());
    return kExitUsage;
  } catch (const UsageError& error) {
    fmt::print(stderr, "hipforge {}: {}\n", app.get_subcommands().front()->get_name(), error.what());
    return kExitUsage;
  } catch (const std::exception& error) {
    fmt::print(stderr, "hipforge: {}\n", error.what());
    return kExitCannotRun;
  }
}
