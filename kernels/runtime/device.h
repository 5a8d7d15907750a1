#pragma once

#include "kernels/runtime/status.h"

namespace hipforge {

/// How many devices HIP can use here, at least one. kNotFound where there is none, with HIP's own reason: "no
/// usable device: hipErrorNoDevice (no ROCm-capable device is detected)".
Status usable_devices(int& count);

}  // namespace hipforge
