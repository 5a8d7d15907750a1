#include "kernels/runtime/status.h"

#include "kernels/runtime/device_error.h"

namespace hipforge {

const char* status_code_name(StatusCode code) {
  switch (code) {
    case StatusCode::kOk:
      return "Ok";
    case StatusCode::kInvalidArgument:
      return "InvalidArgument";
    case StatusCode::kUnsupported:
      return "Unsupported";
    case StatusCode::kOutOfMemory:
      return "OutOfMemory";
    case StatusCode::kCapacity:
      return "Capacity";
    case StatusCode::kNotFound:
      return "NotFound";
    case StatusCode::kHipError:
      return "HipError";
  }
  return "Unknown";
}

void throw_if_error(const Status& status) {
  if (!status.ok()) throw Error(status);
}

Status hip_status(hipError_t error, const std::string& what) {
  if (error == hipSuccess) return {};
  const StatusCode code = error == hipErrorOutOfMemory ? StatusCode::kOutOfMemory : StatusCode::kHipError;
  const std::string name = hipGetErrorName(error);
  // HIP 5 has nothing to add to the names of some errors.
  const std::string text = hipGetErrorString(error);
  return {code, error, detail::concat(what, ": ", name, text == name ? "" : " (" + text + ")")};
}

std::string device_error_text(std::uint32_t word) {
  struct Row {
    std::uint32_t bit;
    const char* text;
  };
  constexpr Row kRows[] = {{kDeviceErrorToken, "token id out of range"},
                           {kDeviceErrorPosition, "position out of range"},
                           {kDeviceErrorPage, "page out of range"},
                           {kDeviceErrorOffsets, "packed offsets out of order or range"},
                           {kDeviceErrorLength, "sequence length out of range"}};
  std::string text;
  for (const Row& row : kRows) {
    if ((word & row.bit) == 0) continue;
    if (!text.empty()) text += ", ";
    text += row.text;
    word &= ~row.bit;
  }
  if (word != 0) text += detail::concat(text.empty() ? "" : ", ", "unknown bits ", word);
  return text;
}

}  // namespace hipforge
