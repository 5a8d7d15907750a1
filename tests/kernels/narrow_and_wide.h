#pragma once

#include "kernels/runtime/target.h"

namespace hipforge {

/// Targets of either wave size.
inline const Target kNarrow{"gfx1100", 32, MatrixUnit::kWmma};
inline const Target kWide{"gfx942", 64, MatrixUnit::kMfma};

}  // namespace hipforge
