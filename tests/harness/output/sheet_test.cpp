#include "harness/output/sheet.h"

#include <gtest/gtest.h>

namespace hipforge::harness {
namespace {

const Sheet kSheet{{"case", "us", "note"},
                   {{"a/b", "1.50", "plain"}, {"c", "12.25", "x, \"y\"\nz"}, {"d", "", "<b>|*_ &"}}};

TEST(Sheet, CsvQuotesWhatNeedsIt) {
  EXPECT_EQ(csv(kSheet),
            "case,us,note\n"
            "a/b,1.50,plain\n"
            "c,12.25,\"x, \"\"y\"\"\nz\"\n"
            "d,,<b>|*_ &\n");
}

TEST(Sheet, MarkdownShowsEveryCellAsItIs) {
  EXPECT_EQ(markdown(kSheet),
            "| case | us | note |\n|---|---|---|\n"
            "| a/b | 1.50 | plain |\n"
            "| c | 12.25 | x, \"y\" z |\n"
            "| d |  | &lt;b>\\|\\*\\_ &amp; |\n");
}

TEST(Sheet, NumbersStandToTheRight) {
  const Sheet sheet{{"case", "µs", "verdict"}, {{"a", "1.5", "same"}, {"long", "-12.25", ""}}};
  EXPECT_EQ(aligned(sheet),
            "case      µs  verdict\n"
            "a        1.5  same\n"
            "long  -12.25\n");
}

}  // namespace
}  // namespace hipforge::harness
