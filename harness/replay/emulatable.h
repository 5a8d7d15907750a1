#pragma once

#include "harness/core/case.h"

#include <string>
#include <vector>

namespace hipforge::harness {

/// The cases worth running on an emulator of an instruction set, which takes some 10⁵ times as long as the
/// hardware.
struct EmulatableCases {
  std::vector<const Case*> cases;
  /// What no case small enough reaches: "linear bf16: kernel linear_bf16_w64_mma".
  std::vector<std::string> left_out;
};

/// Chooses for each op and dtype the fewest, smallest cases that have every kernel that `target` gets, and
/// every feature of the suite; at odd sizes over a tile, wave or block wherever there is such a case. Cases
/// that say so themselves (Case::emulated) are always among them. No op is launched: its launcher plans, and
/// the plans are counted. Throws Error where a case cannot be prepared.
[[nodiscard]] EmulatableCases emulatable_cases(const std::vector<const Case*>& cases, const Target& target);

}  // namespace hipforge::harness
