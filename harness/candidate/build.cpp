#include "harness/candidate/build.h"

#include "harness/candidate/entry.h"

#include "harness/candidate/rewrite.h"
#include "harness/system/child_process.h"
#include "harness/system/file.h"
#include "kernels/runtime/target.h"

#include <fmt/format.h>

#include <sstream>
#include <vector>

namespace hipforge::harness {
namespace {

constexpr double kCompileSeconds = 3600.0;

// Options that the build knows, joined by what no path has.
std::vector<std::string> split(const std::string& joined) {
  std::vector<std::string> parts;
  std::istringstream text(joined);
  for (std::string part; std::getline(text, part, '|');) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

#if defined(HIPFORGE_PLATFORM_NVIDIA)
std::string architecture_option() {
  Target target;
  throw_if_error(device_target(target));
  // wgmma and its like are of the a variant alone.
  return "-arch=" + target.architecture + (target.architecture == "sm_90" ? "a" : "");
}
#endif

}  // namespace

std::string compile_candidate(const std::string& source, const std::filesystem::path& folder) {
  const std::string library = folder / "candidate.so";
  std::string compiled = std::filesystem::absolute(source);
#if defined(HIPFORGE_PLATFORM_CPU)
  compiled = folder / "candidate.cpp";
  write_file(compiled, fmt::format("#line 1 \"{}\"\n{}", source, rewrite_for_cpu(read_file(source))));
#endif
  std::vector<std::string> command{HIPFORGE_CANDIDATE_COMPILER};
  for (const std::string& option : split(HIPFORGE_CANDIDATE_OPTIONS)) command.push_back(option);
  for (const std::string& include : split(HIPFORGE_CANDIDATE_INCLUDES)) command.push_back("-I" + include);
  command.push_back("-I" + std::filesystem::absolute(source).parent_path().string());
  write_file(folder / "hipforge_candidate_ops.h", candidate_ops_header());
  command.push_back("-I" + folder.string());
#if defined(HIPFORGE_PLATFORM_NVIDIA)
  command.push_back(architecture_option());
#endif
  command.insert(command.end(), {compiled, "-o", library});
  // The first line that speaks of an error, else the first.
  std::string said;
  bool found = false;
  const ChildOutcome outcome = run_child(command, {}, kCompileSeconds, [&](const std::string& line) {
    const bool error = line.find("error") != std::string::npos;
    if (said.empty() || (error && !found)) said = line;
    found = found || error;
    return false;
  });
  if (outcome.good()) return library;
  throw Error(
      invalid_argument("candidate ", source, " does not compile: ", said.empty() ? outcome.text() : said));
}

}  // namespace hipforge::harness
