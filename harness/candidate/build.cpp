#include "harness/candidate/build.h"

#include "harness/candidate/rewrite.h"
#include "harness/report/report.h"
#include "harness/system/tool_output.h"
#include "kernels/runtime/target.h"

#include <fmt/format.h>

#include <cstdlib>
#include <sstream>
#include <vector>

namespace hipforge::harness {
namespace {

// Options that the build knows, joined by what no path has.
std::vector<std::string> split(const std::string& joined) {
  std::vector<std::string> parts;
  std::istringstream text(joined);
  for (std::string part; std::getline(text, part, '|');) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

std::string first_error(const std::string& log) {
  std::istringstream lines(log);
  std::string first;
  for (std::string line; std::getline(lines, line);) {
    if (line.find("error") != std::string::npos) return line;
    if (first.empty()) first = line;
  }
  return first;
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

TemporaryFolder::TemporaryFolder() {
  std::string name = std::filesystem::temp_directory_path() / "hipforge-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) {
    throw Error(failure(StatusCode::kNotFound, "no temporary folder can be made at ", name));
  }
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string compile_candidate(const std::string& source, const std::filesystem::path& folder) {
  const std::string library = folder / "candidate.so";
  const std::string log = folder / "log";
  std::string compiled = std::filesystem::absolute(source);
#if defined(HIPFORGE_PLATFORM_CPU)
  compiled = folder / "candidate.cpp";
  write_file(compiled, fmt::format("#line 1 \"{}\"\n{}", source, rewrite_for_cpu(read_file(source))));
#endif
  // The shell is for the log alone.
  std::vector<std::string> command{"/bin/sh", "-c", "log=$1; shift; exec \"$@\" >\"$log\" 2>&1", "sh", log};
  command.emplace_back(HIPFORGE_CANDIDATE_COMPILER);
  for (const std::string& option : split(HIPFORGE_CANDIDATE_OPTIONS)) command.push_back(option);
  for (const std::string& include : split(HIPFORGE_CANDIDATE_INCLUDES)) command.push_back("-I" + include);
  command.push_back("-I" + std::filesystem::absolute(source).parent_path().string());
#if defined(HIPFORGE_PLATFORM_NVIDIA)
  command.push_back(architecture_option());
#endif
  command.insert(command.end(), {compiled, "-o", library});
  try {
    (void)tool_output(command);
  } catch (const Error&) {
    throw Error(invalid_argument("candidate ", source, " does not compile: ", first_error(read_file(log))));
  }
  return library;
}

}  // namespace hipforge::harness
