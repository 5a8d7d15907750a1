#pragma once

#include "harness/isa/code_object.h"
#include "harness/isa/disassembly.h"

#include <map>
#include <string>
#include <vector>

namespace hipforge::harness {

/// What the machine code of one kernel says of it: what it takes, and what its hot loop does.
struct IsaFigures : KernelNeeds, WorkCounts {
  int waves = 0;  ///< of a SIMD, at most

  friend bool operator==(const IsaFigures&, const IsaFigures&) = default;
};

/// Every figure, in the order of all that we write.
struct FigureField {
  const char* name;
  const char* heading;  ///< in the table; empty: it is not there
  int IsaFigures::*value;
  bool of_loop = false;
};
inline constexpr FigureField kFigureFields[] = {
    {"vgprs", "VGPRs", &IsaFigures::vgprs},
    {"agprs", "AGPRs", &IsaFigures::agprs},
    {"sgprs", "SGPRs", &IsaFigures::sgprs},
    {"vgpr_spills", "", &IsaFigures::vgpr_spills},
    {"sgpr_spills", "", &IsaFigures::sgpr_spills},
    {"lds_bytes", "LDS", &IsaFigures::lds_bytes},
    {"scratch_bytes", "scratch", &IsaFigures::scratch_bytes},
    {"waves", "waves", &IsaFigures::waves},
    {"matrix", "matrix", &IsaFigures::matrix, true},
    {"vector", "vector", &IsaFigures::vector, true},
    {"lds", "LDS op", &IsaFigures::lds, true},
    {"global", "global", &IsaFigures::global, true},
    {"scalar", "scalar", &IsaFigures::scalar, true},
};

/// How many waves of a kernel one SIMD holds: the least of what vector registers, scalar registers and static
/// shared memory (in blocks of max_threads) allow. Throws Error{kUnsupported} for an unknown architecture.
[[nodiscard]] int waves_per_simd(const std::string& architecture, const KernelMetadata& kernel);

/// What no kernel may do, whatever the baseline says, as one text each with the numbers: use scratch; take
/// over 64 KiB of LDS; and, where its name has the word `mma` and the architecture a matrix unit, run a hot
/// loop without matrix instructions.
[[nodiscard]] std::vector<std::string> broken_limits(const std::string& architecture,
                                                     const std::string& kernel, const IsaFigures& figures,
                                                     bool dynamic_stack);

/// Whether a kernel's name says that it multiplies on matrix cores: `mma` or `wgmma` begins one of its words.
[[nodiscard]] bool names_matrix_core(const std::string& kernel);
/// Whether the code of a kernel for an NVIDIA architecture (sm_90a) must multiply on matrix cores: one for
/// waves of 64 is empty there, and one of warpgroups is launched from sm_90 on.
[[nodiscard]] bool promises_sass_matrix(const std::string& kernel, const std::string& architecture);

/// In what `now` is worse than `before`, as one text each with both numbers. Worse is: fewer waves; more
/// spilled registers; in the hot loop more vector, LDS or global memory instructions, counted to one matrix
/// instruction where both loops have some (an unrolled loop does more of everything); matrix instructions all
/// gone. More registers or LDS alone are not: they count by the waves that they cost. Scalar instructions
/// issue beside the others and are not compared.
[[nodiscard]] std::vector<std::string> regressions(const IsaFigures& before, const IsaFigures& now);

/// One accepted state of a kernel.
struct BaselineEntry {
  IsaFigures figures;
  std::string reason;
  std::string date;  ///< YYYY-MM-DD
};

/// Accepted figures of a toolchain's code, by architecture and kernel.
using BaselineEntries = std::map<std::string, std::map<std::string, BaselineEntry>>;
using IsaBaseline = std::map<std::string, BaselineEntries>;  ///< by toolchain

/// Throws Error{kInvalidArgument} that names path and place for a file that is not one of ours. A file that
/// is not there is an empty baseline.
[[nodiscard]] IsaBaseline read_baseline(const std::string& path);

/// One line a kernel, so that a change of one is a change of one line. Throws Error{kNotFound} where it
/// cannot be written.
void write_baseline(const std::string& path, const IsaBaseline& baseline);

}  // namespace hipforge::harness
