#pragma once

#include "harness/replay/rerun.h"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace hipforge::harness {

/// What runs an AMD architecture's code objects without its hardware: tinygrad's emulator of the instruction
/// set (test/mockgpu/amd/emu.py), from the checkout that HIPFORGE_TINYGRAD names, behind
/// harness/replay/emulate.py.
struct Emulation {
  std::string architecture;                         ///< "gfx942"
  std::vector<std::filesystem::path> code_objects;  ///< of that architecture
  std::string objdump;                              ///< names their instructions; empty where there is none
};

/// Looks for all that an emulation needs: a checkout, python3, and `<code>/<architecture>/*.co`. Throws
/// Error{kNotFound} in one line that says what is missing and how to get it.
[[nodiscard]] Emulation find_emulation(const std::string& architecture, const std::filesystem::path& code);

/// One emulator, in a process of its own, which is started again where a launch ends it. An instruction that
/// it lacks skips the launch with "not emulated: NAME"; a kernel that no code object has fails it.
/// Throws Error{kNotFound} where it does not start.
[[nodiscard]] std::unique_ptr<Rerunner> make_emulator(const Emulation& emulation);

}  // namespace hipforge::harness
