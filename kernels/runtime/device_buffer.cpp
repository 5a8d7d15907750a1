#include "kernels/runtime/device_buffer.h"

#include "kernels/runtime/check.h"

#include <map>
#include <mutex>
#include <utility>

namespace hipforge {
namespace {

/// Which memory is whose, for whoever records a launch.
struct LiveAllocations {
  std::mutex mutex;
  std::map<std::uintptr_t, std::size_t> bytes_at;
};

// Never destroyed: a buffer with static lifetime may be freed after every other static object.
LiveAllocations& live() {
  static LiveAllocations& allocations = *new LiveAllocations;
  return allocations;
}

void check_range_fits(const char* what, std::size_t offset, std::size_t count, std::size_t bytes) {
  if (offset <= bytes && count <= bytes - offset) return;
  throw Error(invalid_argument("device buffer: ", what, " of ", count, " bytes at offset ", offset,
                               " does not fit a buffer of ", bytes, " bytes"));
}

}  // namespace

DeviceBuffer::DeviceBuffer(std::size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  const hipError_t error = hipMalloc(&data_, bytes);
  if (error == hipSuccess && data_ != nullptr) {
    const std::lock_guard lock(live().mutex);
    live().bytes_at[reinterpret_cast<std::uintptr_t>(data_)] = bytes;
    return;
  }
  data_ = nullptr;
  if (error == hipSuccess) {
    throw Error(
        failure(StatusCode::kOutOfMemory, "hipMalloc of ", bytes, " bytes: success with a null pointer"));
  }
  (void)hipGetLastError();  // the failure is reported here; it must not surface at the next launch
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  std::string room;
  if (hipMemGetInfo(&free_bytes, &total_bytes) == hipSuccess) {
    room = detail::concat(", ", free_bytes, " of ", total_bytes, " bytes free");
  }
  throw Error(hip_status(error, detail::concat("hipMalloc of ", bytes, " bytes", room)));
}

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

DeviceBuffer::~DeviceBuffer() {
  if (data_ == nullptr) return;
  {
    const std::lock_guard lock(live().mutex);
    live().bytes_at.erase(reinterpret_cast<std::uintptr_t>(data_));
  }
  (void)hipFree(data_);
}

void DeviceBuffer::upload(std::span<const std::byte> source, std::size_t offset) {
  check_range_fits("upload", offset, source.size(), bytes_);
  if (source.empty()) return;
  HIPFORGE_HIP_CHECK(hipMemcpy(static_cast<std::byte*>(data_) + offset, source.data(), source.size(),
                               hipMemcpyHostToDevice));
}

void DeviceBuffer::download(std::span<std::byte> destination, std::size_t offset) const {
  check_range_fits("download", offset, destination.size(), bytes_);
  if (destination.empty()) return;
  HIPFORGE_HIP_CHECK(hipMemcpy(destination.data(), static_cast<const std::byte*>(data_) + offset,
                               destination.size(), hipMemcpyDeviceToHost));
}

void DeviceBuffer::fill(int byte_value, hipStream_t stream) {
  if (bytes_ == 0) return;
  HIPFORGE_HIP_CHECK(hipMemsetAsync(data_, byte_value, bytes_, stream));
}

TensorView DeviceBuffer::view(DType dtype, std::initializer_list<std::int64_t> shape) const {
  TensorView tensor = TensorView::contiguous(data_, dtype, shape);
  tensor.elements = static_cast<std::int64_t>(bytes_ / dtype_size(dtype));
  throw_if_error(check_tensor("device buffer", "view", tensor, tensor.rank));
  return tensor;
}

std::vector<Allocation> live_allocations() {
  const std::lock_guard lock(live().mutex);
  std::vector<Allocation> allocations;
  allocations.reserve(live().bytes_at.size());
  for (const auto& [address, bytes] : live().bytes_at) allocations.push_back({address, bytes});
  return allocations;
}

}  // namespace hipforge
