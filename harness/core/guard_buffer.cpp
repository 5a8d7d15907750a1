#include "harness/core/guard_buffer.h"

#include "kernels/runtime/check.h"

#include <fmt/format.h>

#include <algorithm>

namespace hipforge::harness {
namespace {

// A NaN in every float dtype that also differs from the 0xff of poisoned outputs.
constexpr std::byte kBand{0xfd};

}  // namespace

GuardBuffer::GuardBuffer(std::size_t bytes) : buffer_(bytes + 2 * kBandBytes), bytes_(bytes) {
  const std::vector<std::byte> band(kBandBytes, kBand);
  buffer_.upload(band);
  buffer_.upload(band, kBandBytes + bytes);
  poison(nullptr);
}

void* GuardBuffer::data() const {
  return buffer_.data() == nullptr ? nullptr : static_cast<std::byte*>(buffer_.data()) + kBandBytes;
}

void GuardBuffer::upload(std::span<const std::byte> source) {
  if (source.size() > bytes_) {
    throw Error(invalid_argument("guard buffer: upload of ", source.size(), " bytes does not fit ", bytes_));
  }
  buffer_.upload(source, kBandBytes);
}

void GuardBuffer::restore(std::span<const std::byte> image) {
  if (image.size() != buffer_.bytes()) {
    throw Error(
        invalid_argument("guard buffer: ", image.size(), " bytes for an allocation of ", buffer_.bytes()));
  }
  buffer_.upload(image);
}

std::vector<std::byte> GuardBuffer::download() const {
  std::vector<std::byte> payload(bytes_);
  buffer_.download(payload, kBandBytes);
  return payload;
}

void GuardBuffer::poison(hipStream_t stream) {
  if (bytes_ == 0) return;
  HIPFORGE_HIP_CHECK(hipMemsetAsync(data(), 0xff, bytes_, stream));
}

std::string GuardBuffer::check() const {
  std::vector<std::byte> band(kBandBytes);
  const auto damaged = [](std::byte value) { return value != kBand; };
  buffer_.download(band);
  if (const auto at = std::find_if(band.rbegin(), band.rend(), damaged); at != band.rend()) {
    return fmt::format("written before the start, nearest at byte -{}", at - band.rbegin() + 1);
  }
  buffer_.download(band, kBandBytes + bytes_);
  if (const auto at = std::find_if(band.begin(), band.end(), damaged); at != band.end()) {
    return fmt::format("written past the end, first at byte +{} after {} bytes", at - band.begin(), bytes_);
  }
  return {};
}

}  // namespace hipforge::harness
