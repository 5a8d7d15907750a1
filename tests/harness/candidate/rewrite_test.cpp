#include "harness/candidate/rewrite.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace hipforge::harness {
namespace {

TEST(CandidateRewrite, LaunchesBecomeCallsOfTheMacro) {
  EXPECT_EQ(rewrite_for_cpu("void f() { k<<<1, 2>>>(); }"),
            "void f() { hipLaunchKernelGGL((k), 1, 2,0,0); }");
  EXPECT_EQ(rewrite_for_cpu("k<<<dim3(a, b), 64, n * sizeof(float), s>>>(x, g(y, z));"),
            "hipLaunchKernelGGL((k), dim3(a, b), 64, n * sizeof(float), s,x, g(y, z));");
  // Template arguments and namespaces are the kernel's name.
  EXPECT_EQ(rewrite_for_cpu("if (c) ns::k<float, wide<2>><<<g, b, 0>>>(p);"),
            "if (c) hipLaunchKernelGGL((ns::k<float, wide<2>>), g, b, 0,0,p);");
}

TEST(CandidateRewrite, SharedArraysInsideAndOutsideOfFunctions) {
  EXPECT_EQ(
      rewrite_for_cpu("__global__ void k() { extern __shared__ float s[]; }"),
      "__global__ void k() { float* const s = static_cast<float*>(::hipforge::cpu::dynamic_shared()); }");
  EXPECT_EQ(rewrite_for_cpu("void k() { extern __shared__ __align__(16) unsigned char s[]; }"),
            "void k() { unsigned char* const s = static_cast<unsigned "
            "char*>(::hipforge::cpu::dynamic_shared()); }");
  EXPECT_EQ(rewrite_for_cpu("namespace n {\nextern \"C\" {\nextern __shared__ float s[];\n}}"),
            "namespace n {\nextern \"C\" {\nstatic const ::hipforge::cpu::DynamicShared<float> s{};\n}}");
}

TEST(CandidateRewrite, CommentsLiteralsAndOtherCodeStay) {
  for (const char* same : {"// k<<<1, 2>>>();\n", "/* extern __shared__ float s[]; */", "\"k<<<1, 2>>>()\"",
                           "R\"x(k<<<1, 2>>>())x\"", "int a = 1'000; b = '\"';", "extern int n;",
                           "__shared__ float tile[32][33];", "a << b; c >> d; v<v<v<int>>> x;"}) {
    EXPECT_EQ(rewrite_for_cpu(same), same);
  }
}

TEST(CandidateRewrite, LinesKeepTheirNumbers) {
  const std::string source = "k<<<\n  grid,\n  block\n>>>(\n  a,\n  b);\nextern\n__shared__\nfloat s[];\nend";
  const std::string made = rewrite_for_cpu(source);
  EXPECT_EQ(std::count(made.begin(), made.end(), '\n'), std::count(source.begin(), source.end(), '\n'));
  EXPECT_TRUE(made.ends_with("\nend"));
}

}  // namespace
}  // namespace hipforge::harness
