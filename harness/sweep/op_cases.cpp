#include "harness/sweep/op_cases.h"

#define HIPFORGE_CANDIDATE_TYPES_ALONE
#include "harness/candidate/hipforge_candidate.h"

#include <algorithm>

namespace hipforge::harness {
namespace {

// The numbers of the header are promised, those of our enumerations are not.
static_assert(static_cast<int>(DType::kF32) == HIPFORGE_F32 &&
              static_cast<int>(DType::kF16) == HIPFORGE_F16 &&
              static_cast<int>(DType::kBF16) == HIPFORGE_BF16 &&
              static_cast<int>(DType::kI32) == HIPFORGE_I32 &&
              static_cast<int>(DType::kU32) == HIPFORGE_U32 && static_cast<int>(DType::kU8) == HIPFORGE_U8);

}  // namespace

void CandidateStruct::put_tensor(const TensorView& view) {
  hipforge_tensor made{};
  made.data = view.data;
  made.dtype = static_cast<std::int32_t>(view.dtype);
  made.rank = view.rank;
  std::copy(view.shape.begin(), view.shape.end(), made.shape);
  std::copy(view.strides.begin(), view.strides.end(), made.strides);
  put(made);
}

}  // namespace hipforge::harness
