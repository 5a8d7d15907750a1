#pragma once

#include <cstdint>
#include <string>

namespace hipforge {

/// Bits that a kernel ORs into the optional device error word of its params when an index that lives on the
/// device is bad. The kernel touches nothing outside its tensors, and writes a row of NaN where the result
/// would have been.
enum DeviceError : std::uint32_t {
  kDeviceErrorToken = 1u << 0,     ///< a token id outside [0, vocab)
  kDeviceErrorPosition = 1u << 1,  ///< a position outside the documented range
  kDeviceErrorPage = 1u << 2,      ///< a block-table entry outside [0, pages)
  kDeviceErrorOffsets = 1u << 3,   ///< packed offsets that decrease or leave the tensor
  kDeviceErrorLength = 1u << 4,    ///< a sequence length negative, over its pages or over its tensor
};

/// "token id out of range, page out of range"; empty for 0.
[[nodiscard]] std::string device_error_text(std::uint32_t word);

}  // namespace hipforge
