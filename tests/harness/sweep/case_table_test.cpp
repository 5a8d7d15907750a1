#include "harness/sweep/case_table.h"

#include "harness/sweep/fields.h"
#include "kernels/runtime/status.h"

#include <gtest/gtest.h>

namespace hipforge::harness {
namespace {

std::vector<std::string> said(const std::string& table) {
  std::vector<std::string> lines;
  std::size_t turn = 0;
  for (const TableCase& one : read_case_table(table, turn)) {
    std::string line = fmt::format("{}", fmt::join(one.sizes, "x"));
    for (const std::string& word : one.words) line += " " + word;
    lines.push_back(line + (one.quick ? " quick" : "") + (one.emulated ? " emulated" : ""));
  }
  return lines;
}

TEST(CaseTable, EachShapeGoesWithEachGroupOfWords) {
  using Texts = std::vector<std::string>;
  EXPECT_EQ(said("3x7 4 # alone\n\n  # nothing\n"), (Texts{"3x7", "4"}));
  EXPECT_EQ(said("3x{1,2!} : on ; a=1 b"), (Texts{"3x1 on", "3x1 a=1 b", "3x2 on quick", "3x2 a=1 b quick"}));
  EXPECT_EQ(
      said("1!~ 2~ : {x,y}={1,2}"),
      (Texts{"1 x=1 quick emulated", "1 x=2 quick emulated", "1 y=1 quick emulated", "1 y=2 quick emulated",
             "2 x=1 emulated", "2 x=2 emulated", "2 y=1 emulated", "2 y=2 emulated"}));
  // A group that is empty says nothing.
  EXPECT_EQ(said("1 : ; a"), (Texts{"1", "1 a"}));
  // Words in turn: those of a case go together, and a case without them takes no turn.
  EXPECT_EQ(said("{1,2} : d=<a|b> e=<u|v|w> ; plain\n3 : d=<a|b>"),
            (Texts{"1 d=a e=u", "1 plain", "2 d=b e=v", "2 plain", "3 d=a"}));
  // Names stand for words, of which some may be names.
  EXPECT_EQ(said("$two = a,b # both\n$all = {$two} ; c\n1 : {$two} d\n2 : x={$two,e}\n3 : $all"),
            (Texts{"1 a d", "1 b d", "2 x=a", "2 x=b", "2 x=e", "3 a", "3 b", "3 c"}));
}

TEST(CaseTable, WhatIsNoCaseIsNamed) {
  const auto fault = [](const std::string& table) -> std::string {
    try {
      (void)said(table);
    } catch (const Error& error) {
      return error.what();
    }
    return "none";
  };
  EXPECT_NE(fault("3x7\n 2xa : on").find("2xa : on: 2xa is not a shape"), std::string::npos);
  EXPECT_NE(fault("-1").find("-1 is not a shape"), std::string::npos);
  EXPECT_NE(fault("1x{2,3").find("braces do not match"), std::string::npos);
  EXPECT_NE(fault("1 : $a").find("what is $a?"), std::string::npos);
  EXPECT_NE(fault("1 : d=<a|b").find("< without >"), std::string::npos);
}

struct Spec : SpecBase {
  std::int64_t rows = 1;
  std::int64_t cols = 1;
  bool causal = false;
  double scale = 1.0;
};

const Fields<Spec>& fields() {
  static const auto all = [] {
    Fields<Spec> made;
    made.size("rows", &Spec::rows).size("cols", &Spec::cols);
    made.layout().flag("causal", &Spec::causal).scalar("scale", &Spec::scale, 1.0);
    made.family("family", &Spec::family);
    return made;
  }();
  return all;
}

TEST(CaseTable, WordsSetFields) {
  std::size_t turn = 0;
  Spec base;
  base.cols = 9;
  const std::vector<Spec> specs = fields().expand("2x3!~ : causal scale=-0.5 outliers", base, turn);
  ASSERT_EQ(specs.size(), 1u);
  EXPECT_EQ(specs[0].rows, 2);
  EXPECT_EQ(specs[0].cols, 3);
  EXPECT_TRUE(specs[0].causal && specs[0].quick && specs[0].emulated);
  EXPECT_EQ(specs[0].scale, -0.5);
  EXPECT_EQ(specs[0].family, Family::kOutliers);
  // Emulated are contiguous tensors alone.
  base.layout = Layout::kStrided;
  EXPECT_FALSE(fields().expand("2x3~", base, turn)[0].emulated);
  // What is large, as far as f16 holds it; a section is for the forms that it names, and says its words of
  // all lines.
  const auto scale_of = [&](DType dtype) {
    return fields().expand("[f32 f16] [strided] scale=large \n 1x2",
                           fields().of_form(dtype, Layout::kStrided), turn);
  };
  EXPECT_EQ(scale_of(DType::kF32).front().scale, 1e30);
  EXPECT_EQ(scale_of(DType::kF16).front().scale, 1e4);
  EXPECT_TRUE(scale_of(DType::kBF16).empty());
  Spec spec;
  fields().resize(spec, "cols", 77);
  EXPECT_EQ(spec.cols, 77);
}

TEST(CaseTable, WordsThatNoFieldHasAreNamed) {
  std::size_t turn = 0;
  for (const char* table : {"1x1 : odd", "1x1 : scale=x", "1x1 : causal=maybe", "1x1 : rows", "1", "1x1x1"}) {
    EXPECT_THROW((void)fields().expand(table, {}, turn), Error) << table;
  }
}

}  // namespace
}  // namespace hipforge::harness
