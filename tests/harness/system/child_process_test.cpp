#include "harness/system/child_process.h"

#include "harness/system/file.h"
#include "kernels/runtime/status.h"
#include "tests/harness/system/processes.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

namespace hipforge::harness {
namespace {

namespace fs = std::filesystem;

TEST(ChildProcess, LinesVariablesAndExitCode) {
  std::vector<std::string> lines;
  const auto note = [&](const std::string& line) {
    lines.push_back(line);
    return false;
  };
  const ChildOutcome outcome =
      run_child({"/bin/sh", "-c", "echo $A; echo b >&2; printf c; exit 7"}, {"A=a"}, 20.0, note);
  EXPECT_EQ(outcome.end, ChildOutcome::End::kExit);
  EXPECT_EQ(outcome.number, 7);
  EXPECT_EQ(lines, (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_THROW((void)run_child({"/no/such/program"}, {}, 1.0, note), Error);
}

TEST(ChildProcess, ItsEndIsToldApart) {
  const auto outcome = [](const char* body, double timeout_s, bool stop) {
    return run_child({"/bin/sh", "-c", body}, {}, timeout_s, [&](const std::string&) { return stop; });
  };
  EXPECT_EQ(outcome("exit 0", 20.0, false).text(), "ended with exit code 0");
  EXPECT_TRUE(outcome("exit 0", 20.0, false).good());
  EXPECT_EQ(outcome("kill -9 $$", 20.0, false).text(), "died: Killed (signal 9)");
  EXPECT_EQ(outcome("sleep 100", 0.05, false).end, ChildOutcome::End::kTimeout);
  EXPECT_EQ(outcome("echo; sleep 100", 20.0, true).end, ChildOutcome::End::kStopped);
}

TEST(ChildProcess, ADialogAsksAndAnswers) {
  const ChildStart start{{"/bin/sh", "-c", "while read -r line; do echo \"<$line>\"; done; exit 4"},
                         {},
                         {STDIN_FILENO, STDOUT_FILENO}};
  ChildProcess child(start);
  std::string line;
  ASSERT_EQ(child.ask("a b", line, 20.0), Lines::Got::kLine);
  EXPECT_EQ(line, "<a b>");
  EXPECT_EQ(child.lines().next(line, 0.02), Lines::Got::kTimeout);
  EXPECT_EQ(child.lines().next(line, 20.0, [] { return true; }), Lines::Got::kStopped);
  EXPECT_EQ(child.ask("", line, 0.02), Lines::Got::kTimeout);
  EXPECT_EQ(line, "died: Killed (signal 9)");
  EXPECT_EQ(child.kill().number, SIGKILL);
  EXPECT_FALSE(child.lines().send("x") && child.lines().send("x"));
  EXPECT_EQ(child.ask("x", line, 20.0), Lines::Got::kEnd);
}

// The descriptors that do not lead to us are never ours by chance.
TEST(ChildProcess, ItsOtherDescriptorsAreANullInputAndALog) {
  const TemporaryFolder folder;
  const std::string log = folder.path() / "log";
  ChildProcess child({{"/bin/sh", "-c", "cat; ls -l /proc/self/fd/0 >&3; echo said >&2"}, {}, {3}, log});
  std::string line;
  ASSERT_EQ(child.lines().next(line, 20.0), Lines::Got::kLine);
  EXPECT_NE(line.find("/dev/null"), std::string::npos) << line;
  EXPECT_EQ(child.lines().next(line, 20.0), Lines::Got::kEnd);
  EXPECT_TRUE(child.wait().good());
  EXPECT_EQ(read_file(log), "said\n");
}

TEST(ChildProcess, AToolsOutputOrItsFault) {
  EXPECT_EQ(tool_output({"/bin/sh", "-c", "printf 'a\\nb'"}), "a\nb");
  try {
    (void)tool_output({"/bin/sh", "-c", "exit 3"});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("exit code 3"), std::string::npos) << error.what();
  }
  EXPECT_TRUE(find_tool({}, "sh").ends_with("/sh"));
  EXPECT_EQ(find_tool({"/no/such/tool"}, "no_such_tool"), "");
}

// What ends a process that has a folder and a child with a child.
class Ending : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
  // In a process of its own.
  [[noreturn]] static void end(const fs::path& notes, int signal) {
    const TemporaryFolder folder;
    write_file(folder.path() / "file", "");
    write_file(notes / "folder", folder.path());
    // Nothing that outlives a SIGKILL of ours may hold what gtest waits for.
    const char* const body = signal == SIGKILL ? "echo $$; exec sleep 300" : "sleep 300 & echo $!; wait";
    ChildProcess child({{"/bin/sh", "-c", body}, {}, {STDOUT_FILENO}});
    std::string grandchild;
    (void)child.lines().next(grandchild, 20.0);
    write_file(notes / "child", std::to_string(child.id()));
    write_file(notes / "grandchild", grandchild);
    (void)::raise(signal);
    for (;;) (void)::pause();
  }
};

TEST_P(Ending, LeavesNothingBehind) {
  // The process that is ended comes by here too, with this one's environment.
  ::setenv("HIPFORGE_ENDING_TEST", std::to_string(::getpid()).c_str(), 0);
  const fs::path notes =
      fs::path(::testing::TempDir()) /
      fmt::format("hipforge_ending_{}_{}", std::getenv("HIPFORGE_ENDING_TEST"), GetParam());
  fs::create_directories(notes);
  EXPECT_EXIT(end(notes, GetParam()), ::testing::KilledBySignal(GetParam()), "");
  EXPECT_TRUE(testing::dies(std::stoi(read_file(notes / "child"))));
  EXPECT_TRUE(testing::dies(std::stoi(read_file(notes / "grandchild"))));
  const fs::path folder = read_file(notes / "folder");
  EXPECT_EQ(fs::exists(folder), GetParam() == SIGKILL);  // which leaves no time for anything
  fs::remove_all(folder);
  fs::remove_all(notes);
}

INSTANTIATE_TEST_SUITE_P(Signals, Ending, ::testing::Values(SIGINT, SIGTERM, SIGHUP, SIGKILL));

}  // namespace
}  // namespace hipforge::harness
