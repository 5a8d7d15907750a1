#include "harness/isa/isa_command.h"

#include "harness/isa/isa_figures.h"
#include "harness/system/exit_code.h"
#include "harness/system/file.h"
#include "kernels/runtime/status.h"
#include "tests/captured_stdout.h"
#include "tests/harness/isa/code_object_builder.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

namespace hipforge::harness {
namespace {

namespace fs = std::filesystem;
using testing::KernelSpec;

KernelMetadata registers(int vgprs, int sgprs = 32) {
  KernelMetadata kernel;
  kernel.vgprs = vgprs;
  kernel.sgprs = sgprs;
  kernel.max_threads = 256;
  kernel.wave = 64;
  return kernel;
}

TEST(WavesPerSimd, VectorRegistersAreDealtInPortions) {
  EXPECT_EQ(waves_per_simd("gfx90a", registers(64)), 8);
  EXPECT_EQ(waves_per_simd("gfx90a", registers(65)), 7);
  EXPECT_EQ(waves_per_simd("gfx942", registers(129)), 3);
  EXPECT_EQ(waves_per_simd("gfx942", registers(512)), 1);
  EXPECT_EQ(waves_per_simd("gfx1030", registers(64)), 16);
  EXPECT_EQ(waves_per_simd("gfx1030", registers(65)), 12);
  EXPECT_EQ(waves_per_simd("gfx1030", registers(256)), 4);
  EXPECT_EQ(waves_per_simd("gfx1100", registers(96)), 16);
  EXPECT_EQ(waves_per_simd("gfx1100", registers(97)), 12);
  EXPECT_EQ(waves_per_simd("gfx1201", registers(145)), 9);
}

TEST(WavesPerSimd, ScalarRegistersCountOnGfx9Alone) {
  EXPECT_EQ(waves_per_simd("gfx90a", registers(32, 100)), 8);
  EXPECT_EQ(waves_per_simd("gfx90a", registers(32, 102)), 7);
  EXPECT_EQ(waves_per_simd("gfx1030", registers(32, 106)), 16);
}

TEST(WavesPerSimd, SharedMemoryLimitsByWholeBlocks) {
  KernelMetadata kernel = registers(32);
  kernel.lds_bytes = 24 << 10;  // two blocks of four waves of 64 in 64 KiB, on four SIMDs
  EXPECT_EQ(waves_per_simd("gfx90a", kernel), 2);
  kernel.wave = 32;
  kernel.workgroup_processor_mode = true;  // five blocks of eight waves of 32 in 128 KiB, on four SIMDs
  EXPECT_EQ(waves_per_simd("gfx1100", kernel), 10);
}

TEST(WavesPerSimd, AnUnknownArchitectureIsRefusedByName) {
  EXPECT_THROW((void)waves_per_simd("gfx000", registers(8)), Error);
}

TEST(BrokenLimits, ScratchSharedMemoryAndMissingMatrixInstructions) {
  IsaFigures figures;
  EXPECT_TRUE(broken_limits("gfx942", "linear_f16_w64", figures, false).empty());
  EXPECT_EQ(broken_limits("gfx942", "linear_f16_w64", figures, true).size(), 1u);
  figures.scratch_bytes = 8;
  figures.lds_bytes = (64 << 10) + 1;
  const auto broken = broken_limits("gfx942", "linear_f16_w64", figures, false);
  ASSERT_EQ(broken.size(), 2u);
  EXPECT_NE(broken[0].find("8 bytes of scratch"), std::string::npos);
  EXPECT_NE(broken[1].find("65537 bytes of LDS, allowed 65536"), std::string::npos);
  figures = {};
  figures.lds_bytes = 64 << 10;
  EXPECT_TRUE(broken_limits("gfx942", "linear_f16_w64", figures, false).empty());
  // The name promises matrix instructions, where the architecture has them.
  const std::string mma = "linear_bf16_bf16_w64_mma128x128x32";
  EXPECT_EQ(broken_limits("gfx942", mma, figures, false).size(), 1u);
  EXPECT_TRUE(broken_limits("gfx1030", mma, figures, false).empty());
  figures.matrix = 1;
  EXPECT_TRUE(broken_limits("gfx942", mma, figures, false).empty());
  EXPECT_FALSE(names_matrix_core("linear_f32_f32_fma64x64x32"));
}

TEST(IsaFigures, WhichNvidiaCodeMustHaveMatrixInstructions) {
  EXPECT_TRUE(promises_sass_matrix("linear_bf16_w32_mma", "sm_80"));
  EXPECT_FALSE(promises_sass_matrix("linear_bf16_w64_mma", "sm_90a"));
  EXPECT_TRUE(promises_sass_matrix("linear_bf16_w32_wgmma128x128", "sm_90a"));
  EXPECT_FALSE(promises_sass_matrix("linear_bf16_w32_wgmma128x128", "sm_80"));
  EXPECT_FALSE(promises_sass_matrix("linear_f32_w32_fma", "sm_90a"));
}

IsaFigures some_figures() {
  return {{.vgprs = 60, .sgprs = 40}, {.matrix = 0, .vector = 100, .lds = 10, .global = 8, .scalar = 20}, 8};
}

TEST(Regressions, WorseIsNamedWithBothNumbers) {
  const IsaFigures before = some_figures();
  EXPECT_TRUE(regressions(before, before).empty());
  const auto only = [&](const IsaFigures& now) -> std::string {
    const auto worse = regressions(before, now);
    EXPECT_EQ(worse.size(), 1u);
    return worse.empty() ? "" : worse[0];
  };
  IsaFigures now = before;
  now.waves = 7;
  EXPECT_EQ(only(now).find("7 waves per SIMD"), 0u);
  EXPECT_NE(only(now).find("was 8"), std::string::npos);
  now = before;
  now.vgpr_spills = 2;
  EXPECT_EQ(only(now), "2 spilled VGPRs, was 0");
  now = before;
  now.sgpr_spills = 3;
  EXPECT_EQ(only(now), "3 spilled SGPRs, was 0");
  now = before;
  now.vector = 101;
  EXPECT_EQ(only(now), "101 vector instructions in the hot loop, was 100");
  now = before;
  now.lds = 11;
  EXPECT_EQ(only(now), "11 LDS instructions in the hot loop, was 10");
  now = before;
  now.global = 9;
  EXPECT_EQ(only(now), "9 global memory instructions in the hot loop, was 8");
}

TEST(Regressions, RegistersAndScalarInstructionsAloneAreNotWorse) {
  const IsaFigures before = some_figures();
  IsaFigures now = before;
  now.vgprs = 64;
  now.sgprs = 50;
  now.lds_bytes = 512;
  now.scalar = 40;
  EXPECT_TRUE(regressions(before, now).empty());
}

TEST(Regressions, AnUnrolledMatrixLoopIsComparedPerMatrixInstruction) {
  IsaFigures before = some_figures();
  before.matrix = 16;
  IsaFigures now = before;
  now = {before, {.matrix = 32, .vector = 200, .lds = 20, .global = 16, .scalar = 20}, before.waves};
  EXPECT_TRUE(regressions(before, now).empty());
  now.vector = 201;
  ASSERT_EQ(regressions(before, now).size(), 1u);
  EXPECT_NE(regressions(before, now)[0].find("201 vector"), std::string::npos);
  now = before;
  now.matrix = 0;
  ASSERT_EQ(regressions(before, now).size(), 1u);
  EXPECT_EQ(regressions(before, now)[0], "0 matrix instructions in the hot loop, was 16");
}

// A folder of code objects whose disassembler is a script that prints a listing of our own.
class IsaCommand : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / fmt::format("hipforge_isa_test_{}", ::getpid());
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "gfx942");
    options_.folder = folder_;
    options_.baseline = folder_ / "baseline.json";
    options_.json_path = folder_ / "out.json";
    toolchain("clang 1");
    kernels({{.name = "one_w64"}, {.name = "two_w64"}});
    loop(4);
  }
  void TearDown() override { fs::remove_all(folder_); }

  void toolchain(const std::string& compiler) {
    write_file(folder_ / "toolchain.json", nlohmann::json{{"compiler", compiler},
                                                          {"device_libraries", "libs 1"},
                                                          {"objdump", (folder_ / "objdump").string()}}
                                               .dump());
  }
  void kernels(const std::vector<KernelSpec>& specs) {
    names_.clear();
    for (const KernelSpec& spec : specs) names_.push_back(spec.name);
    write_file(folder_ / "gfx942" / "op.co", testing::code_object_of(testing::metadata("gfx942", specs)));
  }
  // Every kernel is a loop of so many vector instructions.
  void loop(int vector_instructions, int exit_code = 0) {
    std::string script = "#!/bin/sh\ncat <<'END'\n";
    for (const std::string& name : names_) {
      script += fmt::format("0000000000001000 <{}>:\n", name);
      int address = 0x1000;
      for (int i = 0; i < vector_instructions; ++i, address += 4) {
        script += fmt::format("\tv_add_f32_e32 v0, v1, v2 // {:012X}: 02000501\n", address);
      }
      script +=
          fmt::format("\ts_cbranch_scc1 {} // {:012X}: BF850000\n", 0xffff - vector_instructions, address);
      script += fmt::format("\ts_endpgm // {:012X}: BF810000\n", address + 4);
    }
    script += fmt::format("END\nexit {}\n", exit_code);
    write_file(folder_ / "objdump", script);
    fs::permissions(folder_ / "objdump", fs::perms::owner_all);
  }
  int run() {
    options_.accept.reset();
    return quiet_run();
  }
  int run_accepting(const std::string& reason) {
    options_.accept = reason;
    return quiet_run();
  }
  int quiet_run() {
    const CapturedStdout capture(output_);
    return run_isa(options_);
  }
  std::string message_of_failure() {
    ::testing::internal::CaptureStdout();
    std::string message = "no error";
    try {
      (void)run_isa(options_);
    } catch (const Error& error) {
      message = error.what();
    }
    (void)::testing::internal::GetCapturedStdout();
    return message;
  }
  [[nodiscard]] bool said(const std::string& text) const { return output_.find(text) != std::string::npos; }

  fs::path folder_;
  IsaOptions options_;
  std::vector<std::string> names_;
  std::string output_;
};

TEST_F(IsaCommand, NewKernelsAreSkippedUntilTheyAreAccepted) {
  EXPECT_EQ(run(), kExitGood);
  EXPECT_TRUE(said("new gfx942 one_w64")) << output_;
  EXPECT_TRUE(said("0 passed, 0 failed, 2 skipped")) << output_;
  EXPECT_FALSE(fs::exists(options_.baseline));
  EXPECT_EQ(run_accepting("the first"), kExitGood);
  EXPECT_TRUE(said("2 entries rewritten, 0 dropped")) << output_;
  EXPECT_EQ(run(), kExitGood);
  EXPECT_TRUE(said("2 passed, 0 failed")) << output_;
  const IsaBaseline baseline = read_baseline(options_.baseline);
  const BaselineEntry& entry = baseline.at("clang 1, libs 1").at("gfx942").at("one_w64");
  EXPECT_EQ(entry.reason, "the first");
  EXPECT_EQ(entry.date.size(), 10u);
  EXPECT_EQ(entry.figures.vgprs, 32);
  EXPECT_EQ(static_cast<WorkCounts>(entry.figures), (WorkCounts{.vector = 4, .scalar = 1}));
  const nlohmann::json json = nlohmann::json::parse(read_file(options_.json_path));
  EXPECT_EQ(json["kernels"][1]["kernel"], "two_w64");
  EXPECT_EQ(json["kernels"][1]["hot_loop"]["vector"], 4);
}

TEST_F(IsaCommand, AWorseKernelFailsUntilItIsAccepted) {
  ASSERT_EQ(run_accepting("the first"), kExitGood);
  loop(5);
  EXPECT_EQ(run(), kExitFailed);
  EXPECT_TRUE(said("FAILED gfx942 two_w64: 5 vector instructions in the hot loop, was 4")) << output_;
  EXPECT_TRUE(said("0 passed, 2 failed")) << output_;
  options_.kernel = "^one";
  EXPECT_EQ(run_accepting("it handles odd tails"), kExitGood);
  options_.kernel.clear();
  EXPECT_EQ(run(), kExitFailed);
  EXPECT_FALSE(said("FAILED gfx942 one_w64")) << output_;
  EXPECT_TRUE(said("1 passed, 1 failed")) << output_;
  const auto kernels = read_baseline(options_.baseline).at("clang 1, libs 1").at("gfx942");
  EXPECT_EQ(kernels.at("one_w64").reason, "it handles odd tails");
  EXPECT_EQ(kernels.at("two_w64").reason, "the first");
}

TEST_F(IsaCommand, ABetterKernelPassesAndIsPointedOut) {
  ASSERT_EQ(run_accepting("the first"), kExitGood);
  loop(3);
  EXPECT_EQ(run(), kExitGood);
  EXPECT_TRUE(said("2 kernels are better")) << output_;
}

TEST_F(IsaCommand, AKernelThatIsGoneIsNamedAndDroppedWhenAccepted) {
  ASSERT_EQ(run_accepting("the first"), kExitGood);
  kernels({{.name = "two_w64"}});
  EXPECT_EQ(run(), kExitGood);
  EXPECT_TRUE(said("gone gfx942 one_w64")) << output_;
  EXPECT_EQ(run_accepting("one is no more"), kExitGood);
  EXPECT_TRUE(said("0 entries rewritten, 1 dropped")) << output_;
  EXPECT_EQ(read_baseline(options_.baseline).at("clang 1, libs 1").at("gfx942").size(), 1u);
}

TEST_F(IsaCommand, ScratchFailsAndCannotBeAccepted) {
  kernels({{.name = "one_w64", .scratch_bytes = 16}, {.name = "two_w64"}});
  EXPECT_EQ(run(), kExitFailed);
  EXPECT_TRUE(said("FAILED gfx942 one_w64: 16 bytes of scratch")) << output_;
  EXPECT_EQ(run_accepting("please"), kExitFailed);
  EXPECT_FALSE(read_baseline(options_.baseline).at("clang 1, libs 1").at("gfx942").contains("one_w64"));
}

TEST_F(IsaCommand, AnotherToolchainHasAnotherBaseline) {
  ASSERT_EQ(run_accepting("the first"), kExitGood);
  toolchain("clang 2");
  loop(9);
  EXPECT_EQ(run(), kExitGood);
  EXPECT_TRUE(said("0 passed, 0 failed, 2 skipped")) << output_;
  ASSERT_EQ(run_accepting("the second"), kExitGood);
  EXPECT_EQ(read_baseline(options_.baseline).size(), 2u);
}

TEST_F(IsaCommand, UsageErrors) {
  options_.kernel = "(";
  EXPECT_THROW((void)quiet_run(), UsageError);
  options_.kernel = "no_such_kernel";
  EXPECT_THROW((void)quiet_run(), UsageError);
  options_.kernel.clear();
  options_.architectures = {"gfx90a"};
  EXPECT_THROW((void)quiet_run(), UsageError);
  options_.architectures.clear();
  EXPECT_THROW((void)run_accepting(" "), UsageError);
}

TEST_F(IsaCommand, WhatIsMissingOrMalformedIsNamed) {
  const auto expect = [&](const std::string& part) {
    const std::string message = message_of_failure();
    EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  };
  options_.folder = folder_ / "nothing";
  expect("no code objects");
  options_.folder = folder_;
  loop(4, 3);
  expect("objdump");
  expect("exit code 3");
  loop(4);
  names_ = {"another"};
  loop(4);
  expect("no machine code for its kernel one_w64");
  kernels({{.name = "one_w64"}});
  loop(4);
  write_file(options_.baseline, "{\"a\": {\"gfx942\": {\"one_w64\": {\"vgprs\": -1}}}}");
  expect("one_w64 of gfx942: vgprs");
  write_file(options_.baseline, "not json");
  expect("no JSON object");
  fs::remove(options_.baseline);
  write_file(folder_ / "gfx942" / "op.co",
             testing::code_object_of(testing::metadata("gfx90a", {{.name = "k"}})));
  expect("made for gfx90a, stands under gfx942");
  write_file(folder_ / "gfx942" / "op.co", "torn");
  expect("op.co: not an ELF file");
  fs::remove(folder_ / "toolchain.json");
  options_.accept = "why not";
  expect("toolchain.json is missing");
}

}  // namespace
}  // namespace hipforge::harness
