// The command line of `hipforge` as a user meets it.

#include "harness/cli/number_option.h"

#include "harness/system/child_process.h"
#include "harness/system/exit_code.h"
#include "harness/system/file.h"
#include "tests/harness/system/processes.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

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

TEST(NumberOption, ASeedIsDecimal) {
  CLI::App app;
  std::uint64_t seed = 0;
  std::vector<int> waves;
  add_number(app, "--seed", seed, "");
  add_numbers(app, "--wave", waves, "");
  app.parse("--seed 010 --wave 032,-8");
  EXPECT_EQ(seed, 10u);
  EXPECT_EQ(waves, (std::vector<int>{32, -8}));
  EXPECT_THROW(app.parse("--seed 0x10"), CLI::ValidationError);
}

// A suite whose first program says that it runs and then hangs.
TEST(CommandLine, KillingMutantsLeavesNoChildBehind) {
  namespace fs = std::filesystem;
  const fs::path folder =
      fs::path(::testing::TempDir()) / fmt::format("hipforge_killed_mutants_{}", ::getpid()) / "hand";
  fs::create_directories(folder);
  write_file(
      folder / "mutants.json",
      R"({"mutants": [{"number": 1, "id": "x", "op": "softmax", "kind": "", "what": "", "where": []}]})");
  for (const char* program : {"hipforge", "kernels_test", "chronicle_test"}) {
    write_file(folder / program,
               fmt::format("#!/bin/sh\necho $$ >'{}/{}.id'\nexec sleep 300\n", folder.string(), program));
    fs::permissions(folder / program, fs::perms::owner_all);
  }
  for (const int signal : {SIGTERM, SIGKILL}) {
    ChildProcess mutants({{HIPFORGE_EXECUTABLE, "mutants", "--jobs", "1", "--dir", folder.parent_path()}});
    fs::path started;
    for (int i = 0; i < 2000 && started.empty(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
        if (entry.path().extension() == ".id" && fs::file_size(entry) > 0) started = entry.path();
      }
    }
    ASSERT_FALSE(started.empty());
    const pid_t child = std::stoi(read_file(started));
    fs::remove(started);
    ASSERT_EQ(::kill(mutants.id(), signal), 0);
    const ChildOutcome outcome = mutants.wait();
    EXPECT_EQ(outcome.end, ChildOutcome::End::kSignal);
    EXPECT_EQ(outcome.number, signal);
    EXPECT_TRUE(testing::dies(child)) << "after signal " << signal;
  }
  fs::remove_all(folder.parent_path());
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
