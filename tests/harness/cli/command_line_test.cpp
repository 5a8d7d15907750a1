// The command line of `hipforge` as a user meets it.

#include "harness/check/check_command.h"
#include "harness/system/child_process.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <sstream>

namespace hipforge::harness {
namespace {

struct Said {
  int exit_code = -1;
  std::vector<std::string> lines;
};

Said hipforge(std::vector<std::string> arguments) {
  Said said;
  arguments.insert(arguments.begin(), HIPFORGE_EXECUTABLE);
  const ChildOutcome outcome = run_child(arguments, {}, 60.0, [&](const std::string& line) {
    said.lines.push_back(line);
    return false;
  });
  if (outcome.end == ChildOutcome::End::kExit) said.exit_code = outcome.number;
  return said;
}

TEST(CommandLine, ARejectedNumberIsOneLineWithTheRange) {
  const std::string whole = "not a whole number from ";
  const struct {
    const char* command;
    const char* option;
    const char* value;
    std::string expected;
  } cases[] = {
      {"check", "--seed", "-1", "'-1' is " + whole + "0 to 18446744073709551615"},
      {"check", "--seed", "0x10", "'0x10' is " + whole + "0 to 18446744073709551615"},
      {"check", "--wave", "32,+64", "'+64' is " + whole + "-2147483648 to 2147483647"},
      {"check", "--shrink", "nan", "'nan' is not a number from 0 up"},
      {"check", "--timeout", "0", "'0' is not a number above 0"},
      {"check", "--timeout", "inf", "'inf' is not a number above 0"},
      {"check", "--memory-limit", "-5", "'-5' is " + whole + "1 to 9223372036854775807"},
      {"check", "--shard", "-1/2", "'-1/2' is not K/N with K from 0 to N - 1"},
      {"bench", "--seconds", "0x1p3", "'0x1p3' is not a number above 0"},
      {"accuracy-study", "--seed", "1e3", "'1e3' is " + whole + "0 to 18446744073709551615"},
      {"accuracy-study", "--max-kv-len", "1", "'1' is " + whole + "64 to 1048576"},
      {"mutants", "--jobs", "0", "'0' is " + whole + "1 to 1024"},
  };
  for (const auto& wrong : cases) {
    const Said said = hipforge({wrong.command, fmt::format("{}={}", wrong.option, wrong.value)});
    EXPECT_EQ(said.exit_code, kExitUsage) << wrong.option;
    EXPECT_EQ(said.lines,
              std::vector<std::string>{fmt::format("hipforge: {}: {}", wrong.option, wrong.expected)});
  }
}

TEST(CommandLine, ASeedIsDecimal) {
  const Said said = hipforge({"check", "--seed", "010", "--filter", "rms_norm/f16/strided/5x257/"});
  ASSERT_EQ(said.exit_code, kExitGood);
  EXPECT_TRUE(said.lines.at(said.lines.size() - 2).ends_with(" s, seed 10")) << said.lines.back();
}

// CLI11 names the types of what it converts itself.
TEST(CommandLine, EveryNumberIsParsedStrictly) {
  for (const char* command :
       {"check", "compare", "report", "accuracy-study", "bench", "devices", "isa", "replay", "mutants"}) {
    const Said said = hipforge({command, "--help"});
    EXPECT_EQ(said.exit_code, kExitGood);
    for (const std::string& line : said.lines) {
      for (const char* type : {" INT", " UINT", " FLOAT"}) {
        EXPECT_EQ(line.find(type), std::string::npos) << command << ": " << line;
      }
    }
  }
}

}  // namespace
}  // namespace hipforge::harness
