#include "harness/isa/isa_figures.h"

#include "harness/system/file.h"
#include "kernels/runtime/status.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <filesystem>

namespace hipforge::harness {
namespace {

constexpr std::int64_t kLdsBytes = std::int64_t{64} << 10;  // of a block, and of a compute unit

// Vector registers of a lane on one SIMD, in what portions a wave gets them, and the waves that a SIMD can
// track. Source: LLVM, AMDGPUBaseInfo.cpp: getTotalNumVGPRs, getVGPRAllocGranule, getMaxWavesPerEU, for waves
// of 64 on gfx9 and of 32 on gfx10 and up; AMD's "CDNA2" and "RDNA3" instruction set architecture guides.
struct Architecture {
  const char* name;
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
  for (const Architecture& known : kArchitectures) {
    if (name == known.name) return known;
  }
  throw Error(unsupported("architecture ", name, " is not known, supported: ",
                          fmt::format("{}", fmt::join(known_architectures(), ", "))));
}

int divide_up(int value, int by) {
  return (value + by - 1) / by;
}

constexpr const char* kFields[] = {"vgprs",     "agprs",         "sgprs", "vgpr_spills", "sgpr_spills",
                                   "lds_bytes", "scratch_bytes", "waves", "matrix",      "vector",
                                   "lds",       "global",        "scalar"};

std::vector<std::int64_t> values_of(const IsaFigures& f) {
  return {f.vgprs, f.agprs,       f.sgprs,       f.vgpr_spills, f.sgpr_spills, f.lds_bytes,  f.scratch_bytes,
          f.waves, f.loop.matrix, f.loop.vector, f.loop.lds,    f.loop.global, f.loop.scalar};
}

IsaFigures figures_of(const std::vector<std::int64_t>& v) {
  const auto small = [&](std::size_t i) { return static_cast<int>(v[i]); };
  return IsaFigures{small(0), small(1), small(2),
                    small(3), small(4), v[5],
                    v[6],     small(7), WorkCounts{small(8), small(9), small(10), small(11), small(12)}};
}

}  // namespace

std::vector<std::string> known_architectures() {
  std::vector<std::string> names;
  for (const Architecture& known : kArchitectures) names.emplace_back(known.name);
  return names;
}

int waves_per_simd(const std::string& architecture, const KernelMetadata& kernel) {
  const Architecture& arch = find_architecture(architecture);
  int waves = arch.max_waves;
  if (kernel.vgprs > 0) {
    waves = std::min(waves, arch.vgprs / (divide_up(kernel.vgprs, arch.portion) * arch.portion));
  }
  // Source: LLVM, GCNSubtarget::getOccupancyWithNumSGPRs: 800 registers in portions of 16, 102 at most for a
  // wave.
  if (arch.scalar_limit && kernel.sgprs > 100) waves = std::min(waves, 7);
  if (kernel.lds_bytes > 0 && kernel.wave > 0) {
    // In workgroup processor mode a block can use the LDS and the SIMDs of both compute units.
    const int units = kernel.workgroup_processor_mode ? 2 : 1;
    const std::int64_t blocks = units * kLdsBytes / kernel.lds_bytes;
    const std::int64_t block_waves = divide_up(std::max(kernel.max_threads, 1), kernel.wave);
    const std::int64_t by_lds = (blocks * block_waves + units * arch.simds - 1) / (units * arch.simds);
    waves = static_cast<int>(std::min<std::int64_t>(waves, by_lds));
  }
  return waves;
}

IsaFigures make_figures(const std::string& architecture, const KernelMetadata& kernel, const HotLoop& loop) {
  return IsaFigures{
      kernel.vgprs,       kernel.agprs,     kernel.sgprs,         kernel.vgpr_spills,
      kernel.sgpr_spills, kernel.lds_bytes, kernel.scratch_bytes, waves_per_simd(architecture, kernel),
      loop.counts};
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
  if (names_matrix_core(kernel) && find_architecture(architecture).matrix_unit && figures.loop.matrix == 0) {
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
  const bool by_matrix = before.loop.matrix > 0 && now.loop.matrix > 0;
  const auto loop = [&](const char* what, std::int64_t was, std::int64_t is) {
    if (!by_matrix) {
      more(what, was, is);
    } else if (is * before.loop.matrix > was * now.loop.matrix) {
      worse.push_back(fmt::format("{} {} to {} matrix instructions, was {} to {}", is, what, now.loop.matrix,
                                  was, before.loop.matrix));
    }
  };
  loop("vector instructions in the hot loop", before.loop.vector, now.loop.vector);
  loop("LDS instructions in the hot loop", before.loop.lds, now.loop.lds);
  loop("global memory instructions in the hot loop", before.loop.global, now.loop.global);
  if (before.loop.matrix > 0 && now.loop.matrix == 0) {
    worse.push_back(fmt::format("0 matrix instructions in the hot loop, was {}", before.loop.matrix));
  }
  return worse;
}

IsaBaseline read_baseline(const std::string& path) {
  IsaBaseline baseline;
  if (!std::filesystem::exists(path)) return baseline;
  const nlohmann::json root = nlohmann::json::parse(read_file(path), nullptr, false);
  const auto fail = [&](const std::string& what) { throw Error(invalid_argument(path, ": ", what)); };
  if (!root.is_object()) fail("not a baseline: no JSON object");
  for (const auto& [toolchain, architectures] : root.items()) {
    if (!architectures.is_object()) fail(fmt::format("\"{}\" is no object", toolchain));
    for (const auto& [architecture, kernels] : architectures.items()) {
      if (!kernels.is_object()) fail(fmt::format("\"{}\" is no object", architecture));
      for (const auto& [kernel, entry] : kernels.items()) {
        if (!entry.is_object()) fail(fmt::format("{} of {} is no object", kernel, architecture));
        std::vector<std::int64_t> values;
        for (const char* field : kFields) {
          const auto found = entry.find(field);
          if (found == entry.end() || !found->is_number_unsigned() ||
              found->get<std::uint64_t>() > INT32_MAX) {
            fail(fmt::format("{} of {}: {} is missing or no count", kernel, architecture, field));
          }
          values.push_back(found->get<std::int64_t>());
        }
        BaselineEntry& into = baseline[toolchain][architecture][kernel];
        into.figures = figures_of(values);
        for (const auto& [field, text] : {std::pair{"reason", &into.reason}, std::pair{"date", &into.date}}) {
          const auto found = entry.find(field);
          if (found == entry.end() || !found->is_string()) {
            fail(fmt::format("{} of {}: {} is missing", kernel, architecture, field));
          }
          *text = found->get<std::string>();
        }
      }
    }
  }
  return baseline;
}

void write_baseline(const std::string& path, const IsaBaseline& baseline) {
  const auto quoted = [](const std::string& text) { return nlohmann::json(text).dump(); };
  std::string text = "{";
  const char* toolchain_comma = "\n";
  for (const auto& [toolchain, architectures] : baseline) {
    text += fmt::format("{} {}: {{", toolchain_comma, quoted(toolchain));
    toolchain_comma = ",\n";
    const char* architecture_comma = "\n";
    for (const auto& [architecture, kernels] : architectures) {
      text += fmt::format("{}  {}: {{", architecture_comma, quoted(architecture));
      architecture_comma = ",\n";
      const char* kernel_comma = "\n";
      for (const auto& [kernel, entry] : kernels) {
        text += fmt::format("{}   {}: {{", kernel_comma, quoted(kernel));
        kernel_comma = ",\n";
        const std::vector<std::int64_t> values = values_of(entry.figures);
        for (std::size_t i = 0; i < values.size(); ++i)
          text += fmt::format("\"{}\": {}, ", kFields[i], values[i]);
        text += fmt::format("\"date\": {}, \"reason\": {}}}", quoted(entry.date), quoted(entry.reason));
      }
      text += "\n  }";
    }
    text += "\n }";
  }
  write_file(path, text + "\n}\n");
}

}  // namespace hipforge::harness
