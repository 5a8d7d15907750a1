#include "harness/isa/isa_figures.h"

#include "harness/isa/json_member.h"
#include "harness/system/file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <ranges>
#include <string_view>

namespace hipforge::harness {
namespace {

constexpr int kLdsBytes = 64 << 10;  // of a block, and of a compute unit

// Vector registers of a lane on one SIMD, in what portions a wave gets them, and the waves that a SIMD can
// track. Source: LLVM, AMDGPUBaseInfo.cpp: getTotalNumVGPRs, getVGPRAllocGranule, getMaxWavesPerEU, for waves
// of 64 on gfx9 and of 32 on gfx10 and up; AMD's "CDNA2" and "RDNA3" instruction set architecture guides.
struct Architecture {
  std::string_view name;
  int vgprs;
  int portion;
  int max_waves;
  bool scalar_limit;  // SGPRs are dealt out too (gfx9); later each wave has its full set
  int simds;          // of a compute unit
  bool matrix_unit;
};
constexpr Architecture kArchitectures[] = {
    {"gfx90a", 512, 8, 8, true, 4, true},       {"gfx942", 512, 8, 8, true, 4, true},
    {"gfx1030", 1024, 16, 16, false, 2, false}, {"gfx1100", 1536, 24, 16, false, 2, true},
    {"gfx1201", 1536, 24, 16, false, 2, true},
};

const Architecture& find_architecture(const std::string& name) {
  const auto found = std::ranges::find(kArchitectures, name, &Architecture::name);
  if (found != std::end(kArchitectures)) return *found;
  std::vector<std::string> names;
  for (const Architecture& architecture : kArchitectures) names.emplace_back(architecture.name);
  throw Error(unsupported("architecture ", name,
                          " is not known, supported: ", fmt::format("{}", fmt::join(names, ", "))));
}

std::int64_t divide_up(std::int64_t value, std::int64_t by) {
  return (value + by - 1) / by;
}

std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump();
}

std::string baseline_text(const BaselineEntry& entry, const std::string&) {
  std::string text = "{";
  for (const FigureField& field : kFigureFields) {
    text += fmt::format("\"{}\": {}, ", field.name, entry.figures.*field.value);
  }
  return text + fmt::format("\"date\": {}, \"reason\": {}}}", quoted(entry.date), quoted(entry.reason));
}

// An object with a line a member.
template <class Value>
std::string baseline_text(const std::map<std::string, Value>& map, const std::string& indent) {
  std::vector<std::string> members;
  for (const auto& [name, value] : map) {
    members.push_back(fmt::format("\n{} {}: {}", indent, quoted(name), baseline_text(value, indent + " ")));
  }
  return fmt::format("{{{}\n{}}}", fmt::join(members, ","), indent);
}

}  // namespace

int waves_per_simd(const std::string& architecture, const KernelMetadata& kernel) {
  const Architecture& arch = find_architecture(architecture);
  std::int64_t waves = arch.max_waves;
  if (kernel.vgprs > 0) {
    waves = std::min(waves, arch.vgprs / (divide_up(kernel.vgprs, arch.portion) * arch.portion));
  }
  // Source: LLVM, GCNSubtarget::getOccupancyWithNumSGPRs: 800 registers in portions of 16, 102 at most for a
  // wave.
  if (arch.scalar_limit && kernel.sgprs > 100) waves = std::min<std::int64_t>(waves, 7);
  if (kernel.lds_bytes > 0 && kernel.wave > 0) {
    // In workgroup processor mode a block can use the LDS and the SIMDs of both compute units.
    const int units = kernel.workgroup_processor_mode ? 2 : 1;
    const std::int64_t blocks = units * kLdsBytes / kernel.lds_bytes;
    const std::int64_t block_waves = divide_up(std::max(kernel.max_threads, 1), kernel.wave);
    waves = std::min(waves, divide_up(blocks * block_waves, units * arch.simds));
  }
  return static_cast<int>(waves);
}

bool names_matrix_core(const std::string& kernel) {
  return kernel.find("_mma") != std::string::npos || kernel.find("_wgmma") != std::string::npos;
}

bool promises_sass_matrix(const std::string& kernel, const std::string& architecture) {
  if (!names_matrix_core(kernel) || kernel.find("_w64") != std::string::npos) return false;
  if (kernel.find("_wgmma") == std::string::npos) return true;
  int number = 0;
  const bool known = std::sscanf(architecture.c_str(), "sm_%d", &number) == 1;
  return !known || number >= 90;
}

std::vector<std::string> broken_limits(const std::string& architecture, const std::string& kernel,
                                       const IsaFigures& figures, bool dynamic_stack) {
  std::vector<std::string> broken;
  if (figures.scratch_bytes > 0) {
    broken.push_back(fmt::format("{} bytes of scratch ({} vector registers spilled), allowed 0",
                                 figures.scratch_bytes, figures.vgpr_spills));
  }
  if (dynamic_stack) broken.emplace_back("a stack of unknown size in scratch, allowed 0 bytes");
  if (figures.lds_bytes > kLdsBytes) {
    broken.push_back(fmt::format("{} bytes of LDS, allowed {}", figures.lds_bytes, kLdsBytes));
  }
  if (names_matrix_core(kernel) && find_architecture(architecture).matrix_unit && figures.matrix == 0) {
    broken.emplace_back("0 matrix instructions in the hot loop, its name promises some");
  }
  return broken;
}

std::vector<std::string> regressions(const IsaFigures& before, const IsaFigures& now) {
  std::vector<std::string> worse;
  const auto more = [&](const char* what, std::int64_t was, std::int64_t is) {
    if (is > was) worse.push_back(fmt::format("{} {}, was {}", is, what, was));
  };
  if (now.waves < before.waves) {
    worse.push_back(fmt::format(
        "{} waves per SIMD ({} VGPRs, {} SGPRs, {} bytes of LDS), was {} ({}, {}, {})", now.waves, now.vgprs,
        now.sgprs, now.lds_bytes, before.waves, before.vgprs, before.sgprs, before.lds_bytes));
  }
  more("bytes of scratch", before.scratch_bytes, now.scratch_bytes);
  more("spilled VGPRs", before.vgpr_spills, now.vgpr_spills);
  more("spilled SGPRs", before.sgpr_spills, now.sgpr_spills);
  const bool by_matrix = before.matrix > 0 && now.matrix > 0;
  const auto loop = [&](const char* what, std::int64_t was, std::int64_t is) {
    if (!by_matrix) {
      more(what, was, is);
    } else if (is * before.matrix > was * now.matrix) {
      worse.push_back(fmt::format("{} {} to {} matrix instructions, was {} to {}", is, what, now.matrix, was,
                                  before.matrix));
    }
  };
  loop("vector instructions in the hot loop", before.vector, now.vector);
  loop("LDS instructions in the hot loop", before.lds, now.lds);
  loop("global memory instructions in the hot loop", before.global, now.global);
  if (before.matrix > 0 && now.matrix == 0) {
    worse.push_back(fmt::format("0 matrix instructions in the hot loop, was {}", before.matrix));
  }
  return worse;
}

IsaBaseline read_baseline(const std::string& path) {
  IsaBaseline baseline;
  if (!std::filesystem::exists(path)) return baseline;
  const nlohmann::json root = nlohmann::json::parse(read_file(path), nullptr, false);
  const auto members = [&](const nlohmann::json& object, const std::string& fault) {
    if (!object.is_object()) throw Error(invalid_argument(path, ": ", fault));
    return object.items();
  };
  for (const auto& [toolchain, architectures] : members(root, "not a baseline: no JSON object")) {
    for (const auto& [architecture, kernels] :
         members(architectures, fmt::format("\"{}\" is no object", toolchain))) {
      for (const auto& [kernel, entry] : members(kernels, fmt::format("\"{}\" is no object", architecture))) {
        const std::string name = fmt::format("{} of {}", kernel, architecture);
        (void)members(entry, name + " is no object");
        const std::string place = fmt::format("{}: {}", path, name);
        BaselineEntry& into = baseline[toolchain][architecture][kernel];
        for (const FigureField& field : kFigureFields) {
          into.figures.*field.value = count_member(entry, field.name, place);
        }
        into.reason = text_member(entry, "reason", place);
        into.date = text_member(entry, "date", place);
      }
    }
  }
  return baseline;
}

void write_baseline(const std::string& path, const IsaBaseline& baseline) {
  write_file(path, baseline_text(baseline, "") + "\n");
}

}  // namespace hipforge::harness
