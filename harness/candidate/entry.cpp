#include "harness/candidate/entry.h"

#define HIPFORGE_CANDIDATE_TYPES_ALONE
#include "harness/candidate/hipforge_candidate.h"
#include "harness/core/case.h"
#include "kernels/rope.h"
#include "kernels/softmax.h"

#include <algorithm>

namespace hipforge::harness {
namespace {

// The numbers of the header are promised, those of our enumerations are not.
static_assert(static_cast<int>(EmptyRow::kZero) == HIPFORGE_EMPTY_ROW_ZERO &&
              static_cast<int>(EmptyRow::kUniform) == HIPFORGE_EMPTY_ROW_UNIFORM &&
              static_cast<int>(EmptyRow::kNaN) == HIPFORGE_EMPTY_ROW_NAN);
static_assert(static_cast<int>(RopeStyle::kInterleaved) == HIPFORGE_ROPE_INTERLEAVED &&
              static_cast<int>(RopeStyle::kHalfSplit) == HIPFORGE_ROPE_HALF_SPLIT);

Status status_of(int code, const std::string& name) {
  if (code == 0) return {};
  if (code == HIPFORGE_CANDIDATE_UNSUPPORTED) return unsupported(name, " does not support this case");
  Status status = hip_status(static_cast<hipError_t>(code), name);
  // A value that is no error of HIP's is one all the same.
  if (status.ok()) status = failure(StatusCode::kHipError, name, " returned ", code);
  return status;
}

}  // namespace

std::string candidate_entry_name(const std::string& op) {
  return "hipforge_candidate_" + op;
}

std::string candidate_ops_header() {
  std::string header = "/* Made by `hipforge candidate --header`. */\n";
  for (const OpSuite& suite : all_suites()) header += "\n" + suite.candidate_declaration;
  return header;
}

std::function<Status(const std::any&, hipStream_t)> bind_candidate_entry(const std::string& op, void* entry) {
  const std::vector<OpSuite>& suites = all_suites();
  const auto suite =
      std::find_if(suites.begin(), suites.end(), [&](const OpSuite& one) { return one.op == op; });
  if (suite == suites.end()) throw Error(invalid_argument("op ", op, " takes no candidate"));
  const auto function = reinterpret_cast<int (*)(const void*, hipforge_stream)>(entry);
  return [function, name = candidate_entry_name(op), to_struct = suite->candidate_struct](
             const std::any& params, hipStream_t stream) {
    return status_of(function(to_struct(params).data(), stream), name);
  };
}

}  // namespace hipforge::harness
