#include "harness/isa/disassembly.h"

#include "kernels/runtime/status.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace hipforge::harness {
namespace {

// Assembles a listing as llvm-objdump prints it: every instruction takes four bytes, and a branch's operand
// is the index of its target.
std::string listing(const std::vector<std::string>& instructions, const std::string& name = "kernel") {
  std::string text = fmt::format(
      "\nx.co:\tfile format elf64-amdgpu\n\nDisassembly of section .text:\n\n"
      "0000000000001000 <{}>:\n",
      name);
  for (std::size_t i = 0; i < instructions.size(); ++i) {
    std::string instruction = instructions[i];
    if (const auto at = instruction.find("->"); at != std::string::npos) {
      const int target = std::stoi(instruction.substr(at + 2));
      const int words = target - static_cast<int>(i) - 1;
      instruction = fmt::format("{}{}", instruction.substr(0, at), words & 0xffff);
    }
    text += fmt::format("\t{:<58} // {:012X}: BF800000 <{}+0x0>\n", instruction, 0x1000 + 4 * i, name);
  }
  return text;
}

HotLoop hot_loop_of(const std::vector<std::string>& instructions) {
  const std::vector<Routine> routines = parse_amd_disassembly(listing(instructions));
  EXPECT_EQ(routines.size(), 1u);
  EXPECT_EQ(routines.front().code.size(), instructions.size());
  return find_hot_loop(routines.front().code);
}

TEST(Disassembly, RoutinesComeByName) {
  const std::vector<Routine> routines =
      parse_amd_disassembly(listing({"s_endpgm"}, "first") + listing({"s_nop 0", "s_endpgm"}, "second"));
  ASSERT_EQ(routines.size(), 2u);
  EXPECT_EQ(routines[0].name, "first");
  EXPECT_EQ(routines[1].name, "second");
  EXPECT_EQ(routines[1].code.size(), 2u);
}

TEST(Disassembly, InstructionsAreCountedByTheUnitThatTheyBusy) {
  const HotLoop loop = hot_loop_of({
      "v_mfma_f32_16x16x16_f16 a[0:3], v[0:1], v[2:3], a[0:3]",
      "v_wmma_f32_16x16x16_f16 v[0:7], v[8:15], v[16:23], v[0:7]",
      "v_add_f32_e32 v0, v1, v2",
      "v_dual_mul_f32 v1, s0, v1 :: v_dual_mov_b32 v2, 0",
      "ds_read_b128 v[0:3], v4",
      "ds_bpermute_b32 v0, v1, v2",
      "global_load_dwordx4 v[0:3], v4, s[0:1]",
      "buffer_load_dword v0, v1, s[0:3], 0 offen",
      "flat_store_dword v[0:1], v2",
      "s_add_u32 s0, s1, s2",
      "s_load_dword s0, s[2:3], 0x0",
      "s_waitcnt vmcnt(0)",
      "s_delay_alu instid0(VALU_DEP_1)",
      "s_nop 0",
      "buffer_gl0_inv",
      "s_endpgm",
  });
  EXPECT_FALSE(loop.is_loop);
  EXPECT_EQ(loop.counts, (WorkCounts{.matrix = 2, .vector = 2, .lds = 2, .global = 3, .scalar = 3}));
}

TEST(Disassembly, TheInnermostLoopIsFound) {
  const HotLoop loop = hot_loop_of({
      "s_mov_b32 s0, 0",                    // 0
      "global_load_dword v0, v1, s[0:1]",   // 1: outer head
      "global_load_dword v2, v1, s[0:1]",   // 2
      "v_add_f32_e32 v0, v1, v2",           // 3: inner head
      "global_load_dword v2, v1, s[0:1]",   // 4
      "s_cbranch_scc1 ->3",                 // 5
      "global_store_dword v0, v1, s[0:1]",  // 6
      "s_cbranch_vccnz ->1",                // 7
      "s_endpgm",                           // 8
  });
  EXPECT_TRUE(loop.is_loop);
  EXPECT_EQ(loop.begin, 0x1000u + 4 * 3);
  EXPECT_EQ(loop.end, 0x1000u + 4 * 5);
  EXPECT_EQ(loop.counts, (WorkCounts{.vector = 1, .global = 1, .scalar = 1}));
}

TEST(Disassembly, MatrixInstructionsMakeALoopHotterThanMemoryDoes) {
  const std::vector<std::string> memory_first = {"global_load_dword v0, v1, s[0:1]",
                                                 "global_load_dword v2, v1, s[0:1]",
                                                 "s_cbranch_scc1 ->0",
                                                 "v_mfma_f32_16x16x16_f16 a[0:3], v[0:1], v[2:3], a[0:3]",
                                                 "s_cbranch_scc1 ->3",
                                                 "s_endpgm"};
  EXPECT_EQ(hot_loop_of(memory_first).counts, (WorkCounts{.matrix = 1, .scalar = 1}));
  std::vector<std::string> without = memory_first;
  without[3] = "v_add_f32_e32 v0, v1, v2";
  EXPECT_EQ(hot_loop_of(without).counts, (WorkCounts{.global = 2, .scalar = 1}));
}

TEST(Disassembly, ACopyLoopInsideAMatrixLoopIsNotInTheWay) {
  const HotLoop loop = hot_loop_of({
      "global_load_dword v0, v1, s[0:1]",                        // 0: outer head
      "ds_write_b32 v0, v1",                                     // 1: copy loop
      "s_cbranch_scc1 ->1",                                      // 2
      "v_mfma_f32_16x16x16_f16 a[0:3], v[0:1], v[2:3], a[0:3]",  // 3
      "s_cbranch_vccnz ->0",                                     // 4
      "s_endpgm",                                                // 5
  });
  EXPECT_EQ(loop.begin, 0x1000u);
  EXPECT_EQ(loop.counts, (WorkCounts{.matrix = 1, .lds = 1, .global = 1, .scalar = 2}));
}

TEST(Disassembly, WithoutMemoryTheLongestLoopIsTheHotOne) {
  const HotLoop loop = hot_loop_of({"v_mov_b32_e32 v0, 0", "s_cbranch_scc1 ->0", "v_mov_b32_e32 v0, 0",
                                    "v_mov_b32_e32 v1, 0", "s_cbranch_scc1 ->2", "s_endpgm"});
  EXPECT_EQ(loop.counts, (WorkCounts{.vector = 2, .scalar = 1}));
}

// A block that stands behind the loop and jumps back into its middle belongs to the loop; what lies between
// does not.
TEST(Disassembly, ABlockOutOfLineBelongsToItsLoop) {
  const HotLoop loop = hot_loop_of({
      "v_add_f32_e32 v0, v1, v2",          // 0: head
      "s_cbranch_scc0 ->6",                // 1
      "global_load_dword v0, v1, s[0:1]",  // 2
      "s_cbranch_scc1 ->0",                // 3
      "v_mul_f32_e32 v0, v1, v2",          // 4: after the loop
      "s_endpgm",                          // 5
      "ds_read_b32 v0, v1",                // 6: out of line
      "s_branch ->2",                      // 7
  });
  EXPECT_TRUE(loop.is_loop);
  EXPECT_EQ(loop.counts, (WorkCounts{.vector = 1, .lds = 1, .global = 1, .scalar = 3}));
}

// A backward jump whose target does not dominate it closes no loop.
TEST(Disassembly, ABackwardJumpAloneIsNoLoop) {
  const HotLoop loop = hot_loop_of({
      "s_cbranch_scc1 ->3",        // 0
      "v_mul_f32_e32 v0, v1, v2",  // 1
      "s_endpgm",                  // 2
      "v_add_f32_e32 v0, v1, v2",  // 3
      "s_branch ->1",              // 4
  });
  EXPECT_FALSE(loop.is_loop);
  EXPECT_EQ(loop.counts.vector, 2);
}

TEST(Disassembly, TwoBackwardBranchesToOneHeadAreOneLoop) {
  const HotLoop loop = hot_loop_of({
      "v_add_f32_e32 v0, v1, v2",          // 0: head
      "s_cbranch_scc1 ->0",                // 1: continue
      "global_load_dword v0, v1, s[0:1]",  // 2
      "s_cbranch_scc1 ->0",                // 3
      "s_endpgm",                          // 4
  });
  EXPECT_EQ(loop.counts, (WorkCounts{.vector = 1, .global = 1, .scalar = 2}));
}

TEST(Disassembly, CodeThatNothingReachesHasNoLoop) {
  const HotLoop loop =
      hot_loop_of({"v_add_f32_e32 v0, v1, v2", "s_endpgm", "v_mul_f32_e32 v0, v1, v2", "s_branch ->2"});
  EXPECT_FALSE(loop.is_loop);
  EXPECT_FALSE(find_hot_loop({}).is_loop);
}

TEST(Disassembly, ALineThatCannotBeReadIsNamed) {
  const auto message_of = [](const std::string& text) -> std::string {
    try {
      (void)parse_amd_disassembly(text);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_NE(message_of("\tv_nop // 000000001000: 7E000000\n").find("v_nop"), std::string::npos);
  EXPECT_NE(message_of("0000000000001000 <k>:\n\tv_nop\n").find("v_nop"), std::string::npos);
  EXPECT_NE(message_of("0000000000001000 <k>:\n\ts_branch label // 000000001000: BF820000\n").find("label"),
            std::string::npos);
}

TEST(Sass, TheHotLoopOfAListing) {
  const std::vector<Routine> routines = parse_sass(R"(
	code for sm_90a
		Function : linear_bf16_mma
	.headerflags	@"EF_CUDA_SM90"
        /*0000*/                   LDC R1, c[0x0][0x28] ;                      /* 0x00000a00ff017b82 */
                                                                               /* 0x000fe20000000800 */
        /*0010*/                   ULDC.64 UR4, c[0x0][0x208] ;                /* 0x0000820000047ab9 */
        /*0020*/                   LDG.E.128 R8, desc[UR4][R2.64] ;            /* 0x0000000402087981 */
        /*0030*/                   LDSM.16.M88.4 R4, [R12] ;                   /* 0x000000000c04783b */
        /*0040*/                   HMMA.16816.F32.BF16 R4, R8, R6, R4 ;        /* 0x000000060804723c */
        /*0050*/                   FADD R0, R1, R2 ;                           /* 0x0000000201007221 */
        /*0060*/              @!P0 BRA 0x30 ;                                  /* 0xfffffff000c08947 */
        /*0070*/                   BRA.U UP0, 0x20 ;                           /* 0xfffffff0e0288547 */
        /*0080*/                   EXIT ;                                      /* 0x000000000000794d */
        /*0090*/                   BRA 0x90;                                   /* 0xfffffffc00fc7947 */
		.....
		Function : second
        /*0000*/                   EXIT ;                                      /* 0x000000000000794d */
)");
  ASSERT_EQ(routines.size(), 2u);
  EXPECT_EQ(routines[0].name, "linear_bf16_mma");
  EXPECT_EQ(routines[0].architecture, "sm_90a");
  EXPECT_EQ(routines[0].code.size(), 10u);
  const HotLoop loop = find_hot_loop(routines[0].code);
  EXPECT_TRUE(loop.is_loop);
  EXPECT_EQ(loop.begin, 0x30u);
  EXPECT_EQ(loop.counts, (WorkCounts{.matrix = 1, .vector = 1, .lds = 1, .scalar = 1}));
  EXPECT_FALSE(find_hot_loop(routines[1].code).is_loop);
}

}  // namespace
}  // namespace hipforge::harness
