// The main of every room that launches kernels. Where the platform has no usable device, cases that need one
// are left out and counted as skipped, with HIP's own reason.

#include "kernels/runtime/device.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <string_view>

namespace {

// What needs no device, as suites or as "Suite.Case". What is not named here is skipped without one.
constexpr std::string_view kNeedNoDevice[] = {
    "Check",
    "CheckCommand.ReproLinesNameTheCaseTheSeedAndTheWave",
    "CheckCommand.UsageErrors",
    "Chronicle005.AKernelWithoutAnAddressIsNeverLaunched",
    "Cli.Inspect",
    "Cli.OutputThatCannotBeWritten",
    "Cli.Tokenize",
    "Cli.UsageErrors",
    "Cli.VersionAndHelp",
    "CommandLine",
    "Compare",
    "Config",
    "Coverage",
    "Gguf",
    "GgufHostile",
    "Inspect",
    "LongTexts",
    "OrderKey",
    "PreTokenizer",
    "Rotation",
    "StreamDecoder",
    "Suites",
    "Target.NamesMapToWavesAndMatrixUnits",
    "TensorViewProperties",
    "Tokenizer",
    "Tolerance",
    "Utf8",
    "Widen",
};

bool needs_device(const ::testing::TestInfo& test) {
  // A parameterised suite is called "Instance/Suite".
  std::string_view suite = test.test_suite_name();
  suite.remove_prefix(suite.rfind('/') + 1);  // npos + 1 is 0
  const std::string name = std::string(suite) + "." + test.name();
  for (const std::string_view known : kNeedNoDevice) {
    if (suite == known || name == known) return false;
  }
  return true;
}

// A filter, and not a skip of each case: a fixture's constructor would run before one.
void leave_out_what_needs_a_device() {
  std::string filter = GTEST_FLAG_GET(filter);
  char separator = filter.find('-') == std::string::npos ? '-' : ':';
  const ::testing::UnitTest& all = *::testing::UnitTest::GetInstance();
  for (int i = 0; i < all.total_test_suite_count(); ++i) {
    const testing::TestSuite& suite = *all.GetTestSuite(i);
    for (int k = 0; k < suite.total_test_count(); ++k) {
      const ::testing::TestInfo& test = *suite.GetTestInfo(k);
      if (!needs_device(test)) continue;
      filter += std::string(1, separator) + test.test_suite_name() + "." + test.name();
      separator = ':';
    }
  }
  GTEST_FLAG_SET(filter, filter);
}

}  // namespace

int main(int argument_count, char** arguments) {
  ::testing::InitGoogleTest(&argument_count, arguments);
  // A list is asked for while building, where there need not be a device.
  if (GTEST_FLAG_GET(list_tests)) return RUN_ALL_TESTS();
  int devices = 0;
  const hipforge::Status status = hipforge::usable_devices(devices);
  if (!status.ok()) leave_out_what_needs_a_device();
  const int result = RUN_ALL_TESTS();
  // GoogleTest's own mark, by which ctest knows a skip.
  const bool none_left = ::testing::UnitTest::GetInstance()->test_to_run_count() == 0;
  if (!status.ok() && none_left) std::printf("[  SKIPPED ] %s\n", status.message.c_str());
  return result;
}
