// hipMalloc, hipFree, hipMemcpy, hipMemset and their like.
#include <hip/hip_runtime_api.h>

#include <cstring>
#include <optional>

#include "error.h"
#include "launch.h"
#include "memory.h"
#include "race/race.h"
#include "stream.h"

#include <hipforge_cpu.h>

namespace hipforge::cpu {
namespace {

hipError_t allocate(void** pointer, size_t bytes, hipMemoryType type) {
  if (const hipError_t error = enter_call(); error != hipSuccess) return error;
  if (pointer == nullptr) return fail(hipErrorInvalidValue, "allocation into a null pointer");
  *pointer = nullptr;
  if (bytes == 0) return hipSuccess;
  return DeviceMemory::instance().allocate(bytes, type, pointer);
}

/// Memory can be released after a fault too; otherwise owners could not clean up.
hipError_t release(void* pointer) {
  if (pointer == nullptr) return hipSuccess;
  const std::lock_guard lock(device_mutex());
  return DeviceMemory::instance().release(pointer);
}

enum class Side { kHost, kDevice, kEither };

struct Operand {
  const void* pointer;
  size_t bytes;  // from the pointer on
  const char* role;
};

/// Null, freed, too short, or on the wrong side.
hipError_t check(const Operand& operand, Side side) {
  if (operand.pointer == nullptr) return fail(hipErrorInvalidValue, "%s is null", operand.role);
  DeviceMemory& memory = DeviceMemory::instance();
  if (!memory.reserved(operand.pointer)) {
    if (side != Side::kDevice) return hipSuccess;
    return fail(hipErrorInvalidMemcpyDirection, "%s %p is host memory, not device memory", operand.role,
                operand.pointer);
  }
  const std::optional<Allocation> allocation = memory.find(operand.pointer);
  if (!allocation.has_value()) {
    return fail(hipErrorInvalidValue, "%s %p is in no live allocation: %s", operand.role, operand.pointer,
                memory.describe(reinterpret_cast<uintptr_t>(operand.pointer)).c_str());
  }
  const size_t offset = reinterpret_cast<uintptr_t>(operand.pointer) - allocation->base;
  if (operand.bytes > allocation->bytes - offset) {
    return fail(hipErrorInvalidValue, "%s %p holds %zu bytes from there (allocation of %zu), %zu wanted",
                operand.role, operand.pointer, allocation->bytes - offset, allocation->bytes, operand.bytes);
  }
  // Pinned and managed memory may stand on either side.
  if (side == Side::kHost && allocation->type == hipMemoryTypeDevice) {
    return fail(hipErrorInvalidMemcpyDirection, "%s %p is device memory, not host memory", operand.role,
                operand.pointer);
  }
  return hipSuccess;
}

hipError_t check_copy(const Operand& target, const Operand& source, hipMemcpyKind kind) {
  Side target_side = Side::kEither;
  Side source_side = Side::kEither;
  switch (kind) {
    case hipMemcpyHostToHost:
      target_side = source_side = Side::kHost;
      break;
    case hipMemcpyHostToDevice:
      target_side = Side::kDevice;
      source_side = Side::kHost;
      break;
    case hipMemcpyDeviceToHost:
      target_side = Side::kHost;
      source_side = Side::kDevice;
      break;
    case hipMemcpyDeviceToDevice:
      target_side = source_side = Side::kDevice;
      break;
    case hipMemcpyDefault:
      break;
    default:
      return fail(hipErrorInvalidMemcpyDirection, "%d is no kind of copy", static_cast<int>(kind));
  }
  if (const hipError_t error = check(target, target_side); error != hipSuccess) return error;
  return check(source, source_side);
}

struct Plane {
  void* target;
  size_t target_pitch;
  const void* source;
  size_t source_pitch;
  size_t width;
  size_t height;
};

hipError_t copy(const Plane& plane, hipMemcpyKind kind) {
  if (plane.width == 0 || plane.height == 0) return hipSuccess;
  const size_t rows = plane.height - 1;
  const Operand target{plane.target, rows * plane.target_pitch + plane.width, "the copy's target"};
  const Operand source{plane.source, rows * plane.source_pitch + plane.width, "the copy's source"};
  if (const hipError_t error = check_copy(target, source, kind); error != hipSuccess) return error;
  const std::lock_guard lock(device_mutex());
  if (device_faulted()) return hipSuccess;
  auto* to = static_cast<unsigned char*>(plane.target);
  const auto* from = static_cast<const unsigned char*>(plane.source);
  for (size_t row = 0; row < plane.height; ++row) {
    std::memmove(to + row * plane.target_pitch, from + row * plane.source_pitch, plane.width);
    race::host_wrote(to + row * plane.target_pitch, plane.width);
  }
  return hipSuccess;
}

hipError_t copy_2d(const Plane& plane, hipMemcpyKind kind) {
  if (plane.target_pitch < plane.width || plane.source_pitch < plane.width) {
    return fail(hipErrorInvalidPitchValue, "pitches of %zu and %zu bytes for rows of %zu", plane.target_pitch,
                plane.source_pitch, plane.width);
  }
  return copy(plane, kind);
}

template <typename T>
hipError_t fill(void* target, T value, size_t count) {
  if (const hipError_t error = enter_call(); error != hipSuccess) return error;
  if (count == 0) return hipSuccess;
  const Operand operand{target, count * sizeof(T), "the memory to set"};
  if (const hipError_t error = check(operand, Side::kDevice); error != hipSuccess) return error;
  const std::lock_guard lock(device_mutex());
  if (device_faulted()) return hipSuccess;
  race::host_wrote(target, count * sizeof(T));
  if constexpr (sizeof(T) == 1) {
    std::memset(target, value, count);
  } else {
    auto* bytes = static_cast<unsigned char*>(target);
    for (size_t i = 0; i < count; ++i) std::memcpy(bytes + i * sizeof(T), &value, sizeof(T));
  }
  return hipSuccess;
}

}  // namespace
}  // namespace hipforge::cpu

using namespace hipforge::cpu;

extern "C" {

hipError_t hipMalloc(void** pointer, size_t bytes) {
  return allocate(pointer, bytes, hipMemoryTypeDevice);
}

hipError_t hipMallocAsync(void** pointer, size_t bytes, hipStream_t stream) {
  if (const hipError_t error = check_stream(stream); error != hipSuccess) return error;
  return allocate(pointer, bytes, hipMemoryTypeDevice);
}

hipError_t hipMallocManaged(void** pointer, size_t bytes, unsigned int) {
  return allocate(pointer, bytes, hipMemoryTypeManaged);
}

hipError_t hipHostMalloc(void** pointer, size_t bytes, unsigned int) {
  return allocate(pointer, bytes, hipMemoryTypeHost);
}

hipError_t hipFree(void* pointer) {
  return release(pointer);
}

hipError_t hipFreeAsync(void* pointer, hipStream_t stream) {
  if (const hipError_t error = check_stream(stream); error != hipSuccess) return error;
  return release(pointer);
}

hipError_t hipHostFree(void* pointer) {
  return release(pointer);
}

hipError_t hipMemcpy(void* target, const void* source, size_t bytes, hipMemcpyKind kind) {
  if (const hipError_t error = synchronize(); error != hipSuccess) return error;
  return copy(Plane{target, bytes, source, bytes, bytes, 1}, kind);
}

hipError_t hipMemcpyAsync(void* target, const void* source, size_t bytes, hipMemcpyKind kind,
                          hipStream_t stream) {
  if (const hipError_t error = enter_call(); error != hipSuccess) return error;
  if (const hipError_t error = check_stream(stream); error != hipSuccess) return error;
  return copy(Plane{target, bytes, source, bytes, bytes, 1}, kind);
}

hipError_t hipMemcpyHtoD(hipDeviceptr_t target, void* source, size_t bytes) {
  return hipMemcpy(target, source, bytes, hipMemcpyHostToDevice);
}

hipError_t hipMemcpyDtoH(void* target, hipDeviceptr_t source, size_t bytes) {
  return hipMemcpy(target, source, bytes, hipMemcpyDeviceToHost);
}

hipError_t hipMemcpyDtoD(hipDeviceptr_t target, hipDeviceptr_t source, size_t bytes) {
  return hipMemcpy(target, source, bytes, hipMemcpyDeviceToDevice);
}

hipError_t hipMemcpy2D(void* target, size_t target_pitch, const void* source, size_t source_pitch,
                       size_t width, size_t height, hipMemcpyKind kind) {
  if (const hipError_t error = synchronize(); error != hipSuccess) return error;
  return copy_2d(Plane{target, target_pitch, source, source_pitch, width, height}, kind);
}

hipError_t hipMemcpy2DAsync(void* target, size_t target_pitch, const void* source, size_t source_pitch,
                            size_t width, size_t height, hipMemcpyKind kind, hipStream_t stream) {
  if (const hipError_t error = enter_call(); error != hipSuccess) return error;
  if (const hipError_t error = check_stream(stream); error != hipSuccess) return error;
  return copy_2d(Plane{target, target_pitch, source, source_pitch, width, height}, kind);
}

hipError_t hipMemset(void* target, int value, size_t bytes) {
  return fill(target, static_cast<unsigned char>(value), bytes);
}

hipError_t hipMemsetAsync(void* target, int value, size_t bytes, hipStream_t stream) {
  if (const hipError_t error = check_stream(stream); error != hipSuccess) return error;
  return fill(target, static_cast<unsigned char>(value), bytes);
}

hipError_t hipMemsetD8(hipDeviceptr_t target, unsigned char value, size_t count) {
  return fill(target, value, count);
}

hipError_t hipMemsetD16(hipDeviceptr_t target, unsigned short value, size_t count) {
  return fill(target, value, count);
}

hipError_t hipMemsetD32(hipDeviceptr_t target, int value, size_t count) {
  return fill(target, value, count);
}

hipError_t hipMemGetInfo(size_t* free_bytes, size_t* total_bytes) {
  if (const hipError_t error = enter_call(); error != hipSuccess) return error;
  if (free_bytes == nullptr || total_bytes == nullptr) return fail(hipErrorInvalidValue, "null argument");
  DeviceMemory::instance().usage(free_bytes, total_bytes);
  return hipSuccess;
}

hipError_t hipPointerGetAttributes(hipPointerAttribute_t* attributes, const void* pointer) {
  if (const hipError_t error = enter_call(); error != hipSuccess) return error;
  if (attributes == nullptr || pointer == nullptr) return fail(hipErrorInvalidValue, "null argument");
  *attributes = hipPointerAttribute_t{};
  void* address = const_cast<void*>(pointer);
  DeviceMemory& memory = DeviceMemory::instance();
  if (!memory.reserved(pointer)) {
    attributes->type = hipMemoryTypeUnregistered;
    attributes->hostPointer = address;
    return hipSuccess;
  }
  const std::optional<Allocation> allocation = memory.find(pointer);
  if (!allocation.has_value()) {
    return fail(hipErrorInvalidValue, "%p is in no live allocation: %s", pointer,
                memory.describe(reinterpret_cast<uintptr_t>(pointer)).c_str());
  }
  attributes->type = allocation->type;
  attributes->devicePointer = address;
  attributes->hostPointer = allocation->type == hipMemoryTypeDevice ? nullptr : address;
  attributes->isManaged = allocation->type == hipMemoryTypeManaged;
  return hipSuccess;
}

hipError_t hipMemGetAddressRange(hipDeviceptr_t* base, size_t* bytes, hipDeviceptr_t pointer) {
  if (const hipError_t error = enter_call(); error != hipSuccess) return error;
  const std::optional<Allocation> allocation = DeviceMemory::instance().find(pointer);
  if (!allocation.has_value()) return fail(hipErrorNotFound, "%p is in no live allocation", pointer);
  if (base != nullptr) *base = reinterpret_cast<void*>(allocation->base);
  if (bytes != nullptr) *bytes = allocation->bytes;
  return hipSuccess;
}

size_t hipforge_cpu_allocations(HipforgeCpuAllocation* allocations, size_t capacity) {
  return DeviceMemory::instance().list(allocations, allocations == nullptr ? 0 : capacity);
}

}  // extern "C"
