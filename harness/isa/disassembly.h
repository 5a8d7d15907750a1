#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hipforge::harness {

/// Which unit an instruction keeps busy.
enum class WorkKind {
  kMatrix,  ///< MFMA, WMMA; HMMA and its kin
  kVector,  ///< arithmetic, conversions, moves of vector registers
  kLds,     ///< shared memory, and shuffles that go through its crossbar
  kGlobal,  ///< global, flat and buffer memory
  kScalar,  ///< scalar arithmetic and loads, branches
  kNone,    ///< waits, hints, cache control
};

/// Where execution goes after an instruction.
enum class Flow { kNext, kBranch, kJump, kEnd };

struct Instruction {
  std::uint64_t address = 0;
  std::string mnemonic{};  ///< v_add_f32_e32; of NVIDIA's with its modifiers
  WorkKind work = WorkKind::kNone;
  Flow flow = Flow::kNext;
  std::uint64_t target = 0;  ///< of a kBranch or kJump
};

struct Routine {
  std::string name;
  std::vector<Instruction> code;  ///< by ascending address
  std::string architecture{};     ///< of NVIDIA's listings, which hold several: sm_90a
};

/// Reads `llvm-objdump -d --no-show-raw-insn` of an AMD code object. Throws Error{kInvalidArgument} with the
/// line that it cannot read.
[[nodiscard]] std::vector<Routine> parse_amd_disassembly(std::string_view text);

/// Reads `cuobjdump -sass`; a kernel that stands there for several architectures comes once for each.
[[nodiscard]] std::vector<Routine> parse_sass(std::string_view text);

struct WorkCounts {
  int matrix = 0;
  int vector = 0;
  int lds = 0;
  int global = 0;
  int scalar = 0;

  friend bool operator==(const WorkCounts&, const WorkCounts&) = default;
};

/// Where a kernel spends its time.
struct HotLoop {
  bool is_loop = false;  ///< else the kernel has none, and all of it is counted
  std::uint64_t begin = 0;
  std::uint64_t end = 0;  ///< of its last instruction
  WorkCounts counts{};
};

/// The innermost loop with the most matrix instructions; where no loop has any, with the most global memory
/// instructions; where no loop has those either, with the most instructions. The first of equals. A loop is
/// innermost where it has no other's head in it; one with matrix instructions, where it has no other's with
/// matrix instructions in it: copies on the way to the products may loop, and are counted once.
///
/// A loop is a natural loop of the control-flow graph: a backward branch to a block that dominates it, and
/// every block that reaches the branch without passing its target. Loops with one head are one. Code that is
/// not reached from the entry has none; an indirect jump ends the path.
[[nodiscard]] HotLoop find_hot_loop(const std::vector<Instruction>& code);

}  // namespace hipforge::harness
