#include "harness/isa/isa_command.h"

#include "harness/isa/amd_toolchain.h"
#include "harness/output/summary.h"
#include "harness/system/child_process.h"
#include "harness/system/exit_code.h"
#include "kernels/runtime/status.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <regex>
#include <set>

namespace hipforge::harness {
namespace {

namespace fs = std::filesystem;

using Entries = std::map<std::string, std::map<std::string, BaselineEntry>>;

int usage_error(const std::string& message) {
  fmt::print(stderr, "hipforge isa: {}\n", message);
  return kExitUsage;
}

[[noreturn]] void cannot_run(const std::string& message) {
  throw Error(failure(StatusCode::kNotFound, message));
}

// The folders of code objects, by architecture.
std::map<std::string, std::vector<fs::path>> find_code_objects(const fs::path& folder) {
  std::map<std::string, std::vector<fs::path>> found;
  std::error_code error;
  for (const auto& architecture : fs::directory_iterator(folder, error)) {
    if (!architecture.is_directory() || !architecture.path().filename().string().starts_with("gfx")) continue;
    for (const auto& file : fs::directory_iterator(architecture.path())) {
      if (file.path().extension() == ".co") {
        found[architecture.path().filename().string()].push_back(file.path());
      }
    }
  }
  for (auto& [architecture, files] : found) std::sort(files.begin(), files.end());
  if (found.empty()) {
    cannot_run(fmt::format("no code objects (ARCHITECTURE/*.co) in {}: ./test.sh --only amd-code builds them",
                           folder.string()));
  }
  return found;
}

void examine(const fs::path& path, const std::string& architecture, const std::string& objdump,
             const std::regex& wanted, std::vector<IsaRecord>& records) {
  const CodeObject object = read_code_object(path.string());
  if (object.architecture != architecture) {
    throw Error(
        invalid_argument(path.string(), ": made for ", object.architecture, ", stands under ", architecture));
  }
  std::map<std::string, HotLoop> loops;
  for (const Routine& routine : parse_amd_disassembly(
           tool_output({objdump, "--disassemble", "--no-show-raw-insn", fs::absolute(path).string()}))) {
    if (!routine.code.empty()) loops[routine.name] = find_hot_loop(routine.code);
  }
  for (const KernelMetadata& kernel : object.kernels) {
    if (!std::regex_search(kernel.name, wanted)) continue;
    const auto loop = loops.find(kernel.name);
    if (loop == loops.end()) {
      throw Error(invalid_argument(path.string(), ": no machine code for its kernel ", kernel.name));
    }
    const IsaFigures figures = make_figures(architecture, kernel, loop->second);
    records.push_back({.architecture = architecture,
                       .kernel = kernel.name,
                       .figures = figures,
                       .has_loop = loop->second.is_loop,
                       .limits = broken_limits(architecture, kernel.name, figures, kernel.dynamic_stack)});
  }
}

Summary isa_summary(const std::string& toolchain, const std::vector<IsaRecord>& records) {
  Summary summary;
  summary.head = {{"toolchain", toolchain}};
  summary.rows = "kernels";
  summary.groups.headings = {"arch",  "kernel", "VGPRs",  "AGPRs",  "SGPRs",  "LDS",    "scratch",
                             "waves", "matrix", "vector", "LDS op", "global", "scalar", ""};
  for (const IsaRecord& r : records) {
    Entry entry{r.kernel, r.architecture, Entry::Verdict::kPassed, 0.0, {}, {}, {}};
    if (!r.limits.empty() || !r.regressions.empty()) {
      entry.verdict = Entry::Verdict::kFailed;
    } else if (!r.compared) {
      entry.verdict = Entry::Verdict::kSkipped;
    }
    entry.fields = {{"architecture", r.architecture}, {"kernel", r.kernel}};
    std::vector<std::string> row{r.architecture, r.kernel};
    for_each_need(r.figures, [&](const std::string& name, std::int64_t figure) {
      entry.fields.emplace_back(name, figure);
      if (!name.ends_with("_spills")) row.push_back(std::to_string(figure));
    });
    entry.fields.emplace_back("waves_per_simd", r.figures.waves);
    row.push_back(std::to_string(r.figures.waves));
    JsonFields loop{{"is_loop", r.has_loop}};
    for_each_count(r.figures.loop, [&](const char* name, int number, WorkKind) {
      loop.emplace_back(name, number);
      row.push_back(std::to_string(number));
    });
    entry.fields.emplace_back("hot_loop", std::move(loop));
    entry.fields.emplace_back("compared", r.compared);
    entry.fields.emplace_back("limits", r.limits);
    entry.fields.emplace_back("regressions", r.regressions);
    row.emplace_back(r.has_loop ? "" : "(no loop)");
    summary.groups.rows.push_back(std::move(row));
    summary.entries.push_back(std::move(entry));
  }
  return summary;
}

// Prints what is to be said of each kernel, and the closing line.
void print_verdicts(const std::vector<IsaRecord>& records, const std::vector<std::string>& gone,
                    const Summary& summary) {
  std::size_t better = 0;
  for (const IsaRecord& record : records) {
    for (const std::vector<std::string>* problems : {&record.limits, &record.regressions}) {
      for (const std::string& problem : *problems) {
        fmt::print("FAILED {} {}: {}\n", record.architecture, record.kernel, problem);
      }
    }
    better += record.better ? 1 : 0;
    if (!record.compared) fmt::print("new {} {}\n", record.architecture, record.kernel);
  }
  for (const std::string& kernel : gone) fmt::print("gone {}\n", kernel);
  if (better > 0) fmt::print("{} kernels are better than the baseline says\n", better);
  const std::size_t skipped = summary.count(Entry::Verdict::kSkipped);
  if (skipped > 0) {
    fmt::print("{} kernels are not in the baseline, so that only the limits were checked\n", skipped);
  }
  if (better + skipped + gone.size() > 0) fmt::print("--accept REASON brings the baseline up to date\n");
  fmt::print("{}\n", closing_line(summary));
}

// NVIDIA's side of the matter: HMMA or HGMMA in the hot loop of every kernel
// that promises it.
int run_cubin(const IsaOptions& options, const std::regex& wanted) {
  const std::string cuobjdump =
      find_tool({"/usr/local/cuda/bin/cuobjdump", "/usr/lib/nvidia-cuda-toolkit/bin/cuobjdump"}, "cuobjdump");
  if (cuobjdump.empty()) cannot_run("no cuobjdump found: it comes with CUDA, put its folder on the PATH");
  if (!fs::is_regular_file(options.cubin)) cannot_run(fmt::format("cannot read {}", options.cubin));
  std::size_t passed = 0;
  std::size_t failed = 0;
  for (const Routine& routine :
       parse_sass(tool_output({cuobjdump, "-sass", fs::absolute(options.cubin).string()}))) {
    if (!promises_sass_matrix(routine.name, routine.architecture) || !std::regex_search(routine.name, wanted))
      continue;
    const WorkCounts loop = find_hot_loop(routine.code).counts;
    ++(loop.matrix > 0 ? passed : failed);
    fmt::print("{} {} {}: {} matrix, {} vector, {} shared, {} global memory instructions in the hot loop\n",
               loop.matrix > 0 ? "ok    " : "FAILED", routine.architecture, routine.name, loop.matrix,
               loop.vector, loop.lds, loop.global);
  }
  if (passed + failed == 0)
    return usage_error(fmt::format("no matrix-core kernel (_mma, _wgmma) matches in {}", options.cubin));
  fmt::print("{} passed, {} failed, 0 skipped\n", passed, failed);
  return failed > 0 ? kExitFailed : kExitGood;
}

}  // namespace

void judge(std::vector<IsaRecord>& records, const Entries& entries) {
  for (IsaRecord& record : records) {
    const auto architecture = entries.find(record.architecture);
    if (architecture == entries.end()) continue;
    const auto entry = architecture->second.find(record.kernel);
    if (entry == architecture->second.end()) continue;
    record.compared = true;
    record.regressions = regressions(entry->second.figures, record.figures);
    record.better = record.regressions.empty() && !(record.figures == entry->second.figures);
  }
}

std::size_t accept(const std::vector<IsaRecord>& records, const std::string& reason, const std::string& date,
                   Entries& entries) {
  std::size_t taken = 0;
  for (const IsaRecord& record : records) {
    if (!record.limits.empty()) continue;
    auto& kernels = entries[record.architecture];
    const auto entry = kernels.find(record.kernel);
    if (entry != kernels.end() && entry->second.figures == record.figures) continue;
    kernels[record.kernel] = BaselineEntry{record.figures, reason, date};
    ++taken;
  }
  return taken;
}

int run_isa(const IsaOptions& options) {
  std::regex wanted;
  try {
    wanted = std::regex(options.kernel);
  } catch (const std::regex_error& error) {
    return usage_error(fmt::format("--kernel {}: {}", options.kernel, error.what()));
  }
  if (options.accept && options.accept->find_first_not_of(" \t") == std::string::npos) {
    return usage_error("--accept needs a reason");
  }
  if (!options.cubin.empty()) return run_cubin(options, wanted);

  const fs::path folder(options.folder);
  auto code_objects = find_code_objects(folder);
  for (const std::string& name : options.architectures) {
    if (code_objects.contains(name)) continue;
    std::vector<std::string> names;
    for (const auto& [known, files] : code_objects) names.push_back(known);
    return usage_error(fmt::format("{} has no code objects for {}, it has {}", options.folder, name,
                                   fmt::join(names, ", ")));
  }
  if (!options.architectures.empty()) {
    std::erase_if(code_objects, [&](const auto& entry) {
      return std::find(options.architectures.begin(), options.architectures.end(), entry.first) ==
             options.architectures.end();
    });
  }
  if (options.accept && !fs::exists(folder / "toolchain.json")) {
    cannot_run(fmt::format("{} is missing, so nobody knows whose figures --accept would take",
                           (folder / "toolchain.json").string()));
  }
  const AmdToolchain toolchain = read_amd_toolchain(folder);
  if (toolchain.objdump.empty()) {
    cannot_run("no llvm-objdump found: install the package llvm-19, or put one on the PATH");
  }

  IsaBaseline baseline = read_baseline(options.baseline);
  std::vector<IsaRecord> records;
  for (const auto& [architecture, files] : code_objects) {
    for (const fs::path& file : files) examine(file, architecture, toolchain.objdump, wanted, records);
  }
  if (records.empty()) return usage_error(fmt::format("no kernel matches {}", options.kernel));

  Entries& entries = baseline[toolchain.name];
  std::set<std::pair<std::string, std::string>> present;
  for (const IsaRecord& record : records) present.emplace(record.architecture, record.kernel);
  const auto is_gone = [&](const std::string& architecture, const std::string& kernel) {
    return code_objects.contains(architecture) && std::regex_search(kernel, wanted) &&
           !present.contains({architecture, kernel});
  };
  std::vector<std::string> gone;
  for (auto& [architecture, kernels] : entries) {
    for (const auto& [kernel, entry] : kernels) {
      if (is_gone(architecture, kernel)) gone.push_back(architecture + " " + kernel);
    }
  }
  if (options.accept) {
    const std::string date = fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr)));
    const std::size_t taken = accept(records, *options.accept, date, entries);
    for (auto& [architecture, kernels] : entries) {
      std::erase_if(kernels,
                    [&, name = architecture](const auto& entry) { return is_gone(name, entry.first); });
    }
    write_baseline(options.baseline, baseline);
    fmt::print("{}: {} entries rewritten, {} dropped\n", options.baseline, taken, gone.size());
    gone.clear();
  }
  judge(records, entries);
  const Summary summary = isa_summary(toolchain.name, records);
  fmt::print("{}", aligned(summary.groups));
  write_summary({.json = options.json_path}, summary);
  print_verdicts(records, gone, summary);
  return summary.count(Entry::Verdict::kFailed) > 0 ? kExitFailed : kExitGood;
}

}  // namespace hipforge::harness
