#include "harness/isa/isa_command.h"

#include "harness/core/selection.h"
#include "harness/isa/isa_figures.h"
#include "harness/output/summary.h"
#include "harness/system/child_process.h"
#include "harness/system/exit_code.h"
#include "harness/system/file.h"
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

using Name = std::pair<std::string, std::string>;  // of a kernel, after its architecture

// One kernel of one architecture.
struct IsaRecord {
  std::string architecture;
  std::string kernel;
  IsaFigures figures;
  bool has_loop = false;
  std::vector<std::string> limits;  // broken
};

[[noreturn]] void cannot_run(const std::string& message) {
  throw Error(failure(StatusCode::kNotFound, message));
}

// The folders of code objects, by architecture.
std::map<std::string, std::set<fs::path>> find_code_objects(const fs::path& folder) {
  std::map<std::string, std::set<fs::path>> found;
  std::error_code error;
  for (const auto& architecture : fs::directory_iterator(folder, error)) {
    const std::string name = architecture.path().filename();
    if (!architecture.is_directory() || !name.starts_with("gfx")) continue;
    for (const auto& file : fs::directory_iterator(architecture)) {
      if (file.path().extension() == ".co") found[name].insert(file.path());
    }
  }
  if (found.empty()) {
    cannot_run(fmt::format("no code objects (ARCHITECTURE/*.co) in {}: ./test.sh --only amd-code builds them",
                           folder.string()));
  }
  return found;
}

void examine(const fs::path& path, const std::string& architecture, const std::string& objdump,
             const std::regex& wanted, std::vector<IsaRecord>& records) {
  const CodeObject object = parse_code_object(path, read_file(path));
  if (object.architecture != architecture) {
    throw Error(
        invalid_argument(path.string(), ": made for ", object.architecture, ", stands under ", architecture));
  }
  const std::vector<Routine> routines = parse_amd_disassembly(
      tool_output({objdump, "--disassemble", "--no-show-raw-insn", fs::absolute(path).string()}));
  for (const KernelMetadata& kernel : object.kernels) {
    if (!std::regex_search(kernel.name, wanted)) continue;
    const auto routine = std::ranges::find(routines, kernel.name, &Routine::name);
    if (routine == routines.end() || routine->code.empty()) {
      throw Error(invalid_argument(path.string(), ": no machine code for its kernel ", kernel.name));
    }
    const HotLoop loop = find_hot_loop(routine->code);
    const IsaFigures figures{kernel, loop.counts, waves_per_simd(architecture, kernel)};
    records.push_back({architecture, kernel.name, figures, loop.is_loop,
                       broken_limits(architecture, kernel.name, figures, kernel.dynamic_stack)});
  }
}

// Judges every kernel by the limits and against the baseline, prints the table and what is to be said of
// each, and returns an exit code.
int judge(const std::vector<IsaRecord>& records, const std::string& toolchain, BaselineEntries& entries,
          const std::set<Name>& gone, const std::string& json_path) {
  using enum Entry::Verdict;
  Summary summary;
  summary.head = {{"toolchain", toolchain}};
  summary.rows = "kernels";
  summary.groups.headings = {"arch", "kernel"};
  for (const FigureField& field : kFigureFields) {
    if (*field.heading != 0) summary.groups.headings.emplace_back(field.heading);
  }
  summary.groups.headings.emplace_back();
  std::string notes;
  int better = 0;
  for (const IsaRecord& r : records) {
    const auto& known = entries[r.architecture];
    const auto before = known.find(r.kernel);
    const bool compared = before != known.end();
    const auto worse = compared ? regressions(before->second.figures, r.figures) : std::vector<std::string>();
    if (compared && worse.empty() && before->second.figures != r.figures) ++better;
    for (const auto* problems : {&r.limits, &worse}) {
      for (const std::string& problem : *problems) {
        notes += fmt::format("FAILED {} {}: {}\n", r.architecture, r.kernel, problem);
      }
    }
    if (!compared) notes += fmt::format("new {} {}\n", r.architecture, r.kernel);

    const bool good = r.limits.empty() && worse.empty();
    const Entry::Verdict verdict = !good ? kFailed : compared ? kPassed : kSkipped;
    Entry& entry = summary.entries.emplace_back(Entry{r.kernel, r.architecture, verdict});
    entry.fields = {{"architecture", r.architecture}, {"kernel", r.kernel}};
    JsonFields loop{{"is_loop", r.has_loop}};
    std::vector<std::string> row{r.architecture, r.kernel};
    for (const FigureField& field : kFigureFields) {
      const int figure = r.figures.*field.value;
      const bool waves = field.value == &IsaFigures::waves;
      (field.of_loop ? loop : entry.fields).emplace_back(waves ? "waves_per_simd" : field.name, figure);
      if (*field.heading != 0) row.push_back(std::to_string(figure));
    }
    entry.fields.emplace_back("hot_loop", std::move(loop));
    entry.fields.emplace_back("compared", compared);
    entry.fields.emplace_back("limits", r.limits);
    entry.fields.emplace_back("regressions", worse);
    row.emplace_back(r.has_loop ? "" : "(no loop)");
    summary.groups.rows.push_back(std::move(row));
  }
  fmt::print("{}", aligned(summary.groups));
  write_summary({.json = json_path}, summary);
  fmt::print("{}", notes);
  for (const auto& [architecture, kernel] : gone) fmt::print("gone {} {}\n", architecture, kernel);
  if (better > 0) fmt::print("{} kernels are better than the baseline says\n", better);
  const std::size_t skipped = summary.count(kSkipped);
  if (skipped > 0) {
    fmt::print("{} kernels are not in the baseline, so that only the limits were checked\n", skipped);
  }
  if (better > 0 || skipped > 0 || !gone.empty())
    fmt::print("--accept REASON brings the baseline up to date\n");
  fmt::print("{}\n", closing_line(summary));
  return summary.count(kFailed) > 0 ? kExitFailed : kExitGood;
}

// NVIDIA's side of the matter: HMMA or HGMMA in the hot loop of every kernel that promises it.
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
    throw UsageError(fmt::format("no matrix-core kernel (_mma, _wgmma) matches in {}", options.cubin));
  fmt::print("{} passed, {} failed, 0 skipped\n", passed, failed);
  return failed > 0 ? kExitFailed : kExitGood;
}

// Takes records that hold the limits into the entries where they are new or differ, and returns how many.
std::size_t accept(const std::vector<IsaRecord>& records, const std::string& reason,
                   BaselineEntries& entries) {
  const std::string date = fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr)));
  std::size_t taken = 0;
  for (const IsaRecord& record : records) {
    if (!record.limits.empty()) continue;
    const auto [entry, is_new] = entries[record.architecture].try_emplace(record.kernel);
    if (!is_new && entry->second.figures == record.figures) continue;
    entry->second = {record.figures, reason, date};
    ++taken;
  }
  return taken;
}

}  // namespace

int run_isa(const IsaOptions& options) {
  const std::regex wanted = parse_filter("--kernel", options.kernel);
  if (options.accept && options.accept->find_first_not_of(" \t") == std::string::npos) {
    throw UsageError("--accept needs a reason");
  }
  if (!options.cubin.empty()) return run_cubin(options, wanted);

  const fs::path folder(options.folder);
  auto code_objects = find_code_objects(folder);
  for (const std::string& name : options.architectures) {
    if (code_objects.contains(name)) continue;
    std::vector<std::string> names;
    for (const auto& [known, files] : code_objects) names.push_back(known);
    throw UsageError(fmt::format("{} has no code objects for {}, it has {}", options.folder, name,
                                 fmt::join(names, ", ")));
  }
  std::erase_if(code_objects,
                [&](const auto& entry) { return !selected(options.architectures, entry.first); });
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
  if (records.empty()) throw UsageError(fmt::format("no kernel matches {}", options.kernel));

  BaselineEntries& entries = baseline[toolchain.name];
  std::set<Name> gone;
  for (const auto& [architecture, kernels] : entries) {
    if (!code_objects.contains(architecture)) continue;
    for (const auto& [kernel, entry] : kernels) {
      if (std::regex_search(kernel, wanted)) gone.emplace(architecture, kernel);
    }
  }
  for (const IsaRecord& record : records) gone.erase({record.architecture, record.kernel});
  if (options.accept) {
    const std::size_t taken = accept(records, *options.accept, entries);
    for (const auto& [architecture, kernel] : gone) entries[architecture].erase(kernel);
    write_baseline(options.baseline, baseline);
    fmt::print("{}: {} entries rewritten, {} dropped\n", options.baseline, taken, gone.size());
    gone.clear();
  }
  return judge(records, toolchain.name, entries, gone, options.json_path);
}

}  // namespace hipforge::harness
