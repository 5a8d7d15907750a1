#include "harness/candidate/candidate.h"

#define HIPFORGE_CANDIDATE_TYPES_ALONE
#include "harness/candidate/hipforge_candidate.h"
#include "harness/candidate/rewrite.h"
#include "harness/system/child_process.h"
#include "harness/system/file.h"
#include "kernels/glu.h"
#include "kernels/rope.h"
#include "kernels/runtime/launch.h"
#include "kernels/runtime/module.h"
#include "kernels/runtime/target.h"
#include "kernels/softmax.h"

#include <fmt/format.h>

#include <dlfcn.h>
#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <vector>

namespace hipforge::harness {
namespace {

constexpr std::uint16_t kElfAmdgpu = 224;  // EM_AMDGPU, which Debian 12's elf.h has and others may not

// The numbers of the header are promised, those of our enumerations are not.
static_assert(static_cast<int>(EmptyRow::kZero) == HIPFORGE_EMPTY_ROW_ZERO &&
              static_cast<int>(EmptyRow::kUniform) == HIPFORGE_EMPTY_ROW_UNIFORM &&
              static_cast<int>(EmptyRow::kNaN) == HIPFORGE_EMPTY_ROW_NAN);
static_assert(static_cast<int>(Activation::kSilu) == HIPFORGE_ACTIVATION_SILU &&
              static_cast<int>(Activation::kGeluTanh) == HIPFORGE_ACTIVATION_GELU_TANH &&
              static_cast<int>(Activation::kRelu2) == HIPFORGE_ACTIVATION_RELU2);
static_assert(static_cast<int>(RopeStyle::kInterleaved) == HIPFORGE_ROPE_INTERLEAVED &&
              static_cast<int>(RopeStyle::kHalfSplit) == HIPFORGE_ROPE_HALF_SPLIT);

std::string entry_name(const std::string& op) {
  return "hipforge_candidate_" + op;
}

Status status_of(int code, const std::string& name) {
  if (code == 0) return {};
  if (code == HIPFORGE_CANDIDATE_UNSUPPORTED) return unsupported(name, " does not support this case");
  Status status = hip_status(static_cast<hipError_t>(code), name);
  // A value that is no error of HIP's is one all the same.
  if (status.ok()) status = failure(StatusCode::kHipError, name, " returned ", code);
  return status;
}

// The names of the entries that a library has, for a message.
std::string entries_of(void* library) {
  std::string names;
  for (const OpSuite& suite : all_suites()) {
    const std::string name = entry_name(suite.op);
    if (dlsym(library, name.c_str()) == nullptr) continue;
    names += (names.empty() ? ", it has " : ", ") + name;
  }
  return names.empty() ? " and no entry of another op" : names;
}

constexpr double kCompileSeconds = 3600.0;

// Adds options that the build knows, joined by what no path has.
void append(std::vector<std::string>& command, const std::string& joined, const std::string& prefix = {}) {
  std::istringstream text(joined);
  for (std::string part; std::getline(text, part, '|');) {
    if (!part.empty()) command.push_back(prefix + part);
  }
}

// Compiles a source with the compiler of this build's platform to a shared library in `folder`, and returns
// its path. Throws Error{kInvalidArgument} with the compiler's first error.
std::string compile_candidate(const std::string& source, const std::filesystem::path& folder) {
  const std::string library = folder / "candidate.so";
  std::string compiled = std::filesystem::absolute(source);
#if defined(HIPFORGE_PLATFORM_CPU)
  compiled = folder / "candidate.cpp";
  write_file(compiled, fmt::format("#line 1 \"{}\"\n{}", source, rewrite_for_cpu(read_file(source))));
#endif
  std::vector<std::string> command{HIPFORGE_CANDIDATE_COMPILER};
  append(command, HIPFORGE_CANDIDATE_OPTIONS);
  append(command, HIPFORGE_CANDIDATE_INCLUDES, "-I");
  command.push_back("-I" + std::filesystem::absolute(source).parent_path().string());
  write_file(folder / "hipforge_candidate_ops.h", candidate_ops_header());
  command.push_back("-I" + folder.string());
#if defined(HIPFORGE_PLATFORM_NVIDIA)
  Target target;
  throw_if_error(device_target(target));
  // wgmma and its like are of the a variant alone.
  command.push_back("-arch=" + target.architecture + (target.architecture == "sm_90" ? "a" : ""));
#endif
  command.insert(command.end(), {compiled, "-o", library});
  std::string first;
  std::string error;  // the first line that speaks of one
  // Its own temporary files go with the folder.
  const std::vector<std::string> variables{"TMPDIR=" + folder.string()};
  const ChildOutcome outcome = run_child(command, variables, kCompileSeconds, [&](const std::string& line) {
    if (first.empty()) first = line;
    if (error.empty() && line.find("error") != std::string::npos) error = line;
    return false;
  });
  if (outcome.good()) return library;
  throw Error(invalid_argument("candidate ", source, " does not compile: ",
                               !error.empty()   ? error
                               : !first.empty() ? first
                                                : outcome.text()));
}

class LibraryCandidate final : public CandidateKernel {
 public:
  LibraryCandidate(const std::string& path, const std::string& op) : library_(path) {
    if (candidate_kind(path) == CandidateKind::kSource) {
      folder_.emplace();
      library_ = compile_candidate(path, folder_->path());
    }
    int flags = RTLD_NOW | RTLD_LOCAL;
#if !defined(__SANITIZE_ADDRESS__)
    // Its own kernels before ours of the same name, which would pass every check.
    flags |= RTLD_DEEPBIND;
#endif
    void* const handle = dlopen(std::filesystem::absolute(library_).c_str(), flags);
    if (handle == nullptr)
      throw Error(invalid_argument("candidate ", path, " cannot be loaded: ", dlerror()));
    void* const entry = dlsym(handle, entry_name(op).c_str());
    if (entry == nullptr) {
      throw Error(
          invalid_argument("candidate ", path, " has no function ", entry_name(op), entries_of(handle)));
    }
    // Never closed: its kernels may have left threads and registrations.
    launch_ = bind_candidate_entry(op, entry);
  }

  Status launch(const std::any& params, const std::function<Status(hipStream_t)>&,
                hipStream_t stream) override {
    return launch_(params, stream);
  }
  const std::string& library() const override {
    return library_;
  }

 private:
  std::string library_;
  std::optional<TemporaryFolder> folder_;
  std::function<Status(const std::any&, hipStream_t)> launch_;
};

#if !defined(HIPFORGE_PLATFORM_NVIDIA)  // whose header has no launches from a module: they are AMD's here
// Our launchers, with the kernels of a code object in place of ours.
class CodeObjectCandidate final : public CandidateKernel, private LaunchObserver {
 public:
  explicit CodeObjectCandidate(const std::string& path) : path_(path), module_(path) {}

  Status launch(const std::any&, const std::function<Status(hipStream_t)>& own, hipStream_t stream) override {
    LaunchObserver* const before = set_launch_observer(this);
    Status status = own(stream);
    set_launch_observer(before);
    return status;
  }
  const std::string& library() const override { return path_; }

 private:
  Status observe(const LaunchPlan& plan, std::span<const std::byte> args, hipStream_t stream,
                 const std::function<Status()>&) override {
    hipFunction_t function = nullptr;
    try {
      function = module_.function(plan.kernel);
    } catch (const Error&) {
      return unsupported("the code object has no kernel ", plan.kernel);
    }
    std::size_t bytes = args.size();
    std::array<void*, 5> extra = {HIP_LAUNCH_PARAM_BUFFER_POINTER, const_cast<std::byte*>(args.data()),
                                  HIP_LAUNCH_PARAM_BUFFER_SIZE, &bytes, HIP_LAUNCH_PARAM_END};
    return hip_status(
        hipModuleLaunchKernel(function, plan.grid.x, plan.grid.y, plan.grid.z, plan.block.x, plan.block.y,
                              plan.block.z, plan.shared_bytes, stream, nullptr, extra.data()),
        plan.kernel);
  }

  std::string path_;
  Module module_;
};
#endif

}  // namespace

std::string candidate_ops_header() {
  std::string header = "/* Made by `hipforge candidate --header`. */\n";
  for (const OpSuite& suite : all_suites()) header += "\n" + suite.candidate_declaration;
  return header;
}

std::function<Status(const std::any&, hipStream_t)> bind_candidate_entry(const std::string& op, void* entry) {
  const auto suite = std::ranges::find(all_suites(), op, &OpSuite::op);
  if (suite == all_suites().end()) throw Error(invalid_argument("op ", op, " takes no candidate"));
  const auto function = reinterpret_cast<int (*)(const void*, hipforge_stream)>(entry);
  return [function, name = entry_name(op), to_struct = suite->candidate_struct](const std::any& params,
                                                                                hipStream_t stream) {
    return status_of(function(to_struct(params).data(), stream), name);
  };
}

CandidateKind candidate_kind(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(sizeof(Elf64_Ehdr), 0);
  std::error_code error;
  if (!file || std::filesystem::is_directory(path, error)) {
    throw Error(failure(StatusCode::kNotFound, "candidate ", path, " cannot be read"));
  }
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.starts_with("__CLANG_OFFLOAD_BUNDLE__") || text.starts_with("CCOB"))
    return CandidateKind::kCodeObject;
  if (text.starts_with(ELFMAG) && text.size() == sizeof(Elf64_Ehdr)) {
    Elf64_Ehdr header;
    std::memcpy(&header, text.data(), sizeof(header));
    if (header.e_machine == kElfAmdgpu) return CandidateKind::kCodeObject;
    if (header.e_type == ET_DYN) return CandidateKind::kLibrary;
  }
  const std::string extension = std::filesystem::path(path).extension();
  for (const char* source : {".hip", ".cu", ".cpp", ".cc", ".cxx"}) {
    if (extension == source) return CandidateKind::kSource;
  }
  throw Error(
      invalid_argument("candidate ", path,
                       " is neither HIP source (.hip, .cu, .cpp, .cc, .cxx) nor a shared library nor an "
                       "AMD code object"));
}

std::unique_ptr<CandidateKernel> load_candidate(const std::string& path, const std::string& op) {
  if (candidate_kind(path) == CandidateKind::kCodeObject) {
#if defined(HIPFORGE_PLATFORM_AMD)
    return std::make_unique<CodeObjectCandidate>(path);
#else
    throw Error(unsupported("candidate ", path,
                            " is an AMD code object: it needs an AMD GPU, or check --emulate ARCHITECTURE"));
#endif
  }
  return std::make_unique<LibraryCandidate>(path, op);
}

}  // namespace hipforge::harness
