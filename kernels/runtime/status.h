#pragma once

#include <hip/hip_runtime.h>

#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace hipforge {

/// Why a launcher refused or failed. kOk is the only success.
enum class StatusCode {
  kOk,
  kInvalidArgument,  ///< a shape, size, stride, pointer or scalar that the contract excludes
  kUnsupported,      ///< legal in principle, but no kernel for it; the message names the legal set
  kOutOfMemory,      ///< an allocation that the device or host cannot hold
  kCapacity,         ///< a fixed-size container (pages of a KV cache, a context) is full
  kNotFound,         ///< a module, kernel, file or device that is not there
  kHipError,         ///< the HIP runtime returned an error; hip_error says which
};

/// Name of a code as it stands in the enum without its k ("InvalidArgument").
[[nodiscard]] const char* status_code_name(StatusCode code);

/// What a launcher returns. The message carries the numbers that a reader needs to fix the call.
struct [[nodiscard]] Status {
  StatusCode code = StatusCode::kOk;
  hipError_t hip_error = hipSuccess;
  std::string message;

  [[nodiscard]] bool ok() const { return code == StatusCode::kOk; }
};

/// Thrown by the owners (DeviceBuffer, Stream, Module, ...) and by throw_if_error.
class Error : public std::runtime_error {
 public:
  explicit Error(Status status) : std::runtime_error(status.message), status_(std::move(status)) {}
  [[nodiscard]] const Status& status() const { return status_; }

 private:
  Status status_;
};

/// Throws Error where the status is not ok.
void throw_if_error(const Status& status);

namespace detail {
template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream text;
  (text << ... << parts);
  return text.str();
}
}  // namespace detail

/// A failed status whose message is the parts, printed one after another.
template <class... Parts>
Status failure(StatusCode code, const Parts&... parts) {
  return Status{code, hipSuccess, detail::concat(parts...)};
}
template <class... Parts>
Status invalid_argument(const Parts&... parts) {
  return failure(StatusCode::kInvalidArgument, parts...);
}
template <class... Parts>
Status unsupported(const Parts&... parts) {
  return failure(StatusCode::kUnsupported, parts...);
}

/// Ok for hipSuccess, else kHipError (kOutOfMemory for hipErrorOutOfMemory) with HIP's own name and text;
/// `what` names the call and its numbers.
Status hip_status(hipError_t error, const std::string& what);

}  // namespace hipforge
