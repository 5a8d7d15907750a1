#include "harness/bench/devices_command.h"

#include "harness/system/exit_code.h"

#include <gtest/gtest.h>
#include <hip/hip_runtime_api.h>  // which platform this is
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>

namespace hipforge::harness {
namespace {

TEST(DevicesCommand, SaysWhatTheDeviceIsAndMeasuresWhereThatMeansSomething) {
  const std::string path = ::testing::TempDir() + "devices_command_test.json";
  ::testing::internal::CaptureStdout();
  const int code = run_devices({.json_path = path, .quick = true});
  const std::string text = ::testing::internal::GetCapturedStdout();
  EXPECT_EQ(code, kExitGood);
  EXPECT_NE(text.find("device 0: "), std::string::npos) << text;
  std::ifstream file(path);
  const nlohmann::json root = nlohmann::json::parse(file, nullptr, false);
  ASSERT_TRUE(root.is_object()) << "no JSON at " << path;
  std::filesystem::remove(path);
  EXPECT_TRUE(root["quick"].get<bool>());
  ASSERT_GE(root["devices"].size(), 1u);
  for (const nlohmann::json& device : root["devices"]) {
    EXPECT_FALSE(device["name"].get<std::string>().empty());
    EXPECT_GT(device["multiprocessors"].get<int>(), 0);
    EXPECT_GT(device["total_bytes"].get<std::int64_t>(), 0);
    EXPECT_LE(device["free_bytes"].get<std::int64_t>(), device["total_bytes"].get<std::int64_t>());
#if defined(HIPFORGE_PLATFORM_CPU)
    EXPECT_FALSE(device.contains("bandwidths")) << "a ceiling of the cpu platform says nothing of a GPU";
    EXPECT_NE(text.find("no ceilings"), std::string::npos) << text;
#else
    EXPECT_EQ(device["matrix_rates"].size(), 2u);
    EXPECT_GE(device["bandwidths"].size(), 9u);
    for (const nlohmann::json& row : device["bandwidths"]) {
      EXPECT_GT(row["gbps"].get<double>(), 0.0);
      EXPECT_GE(row["high_gbps"].get<double>(), row["gbps"].get<double>());
    }
#endif
  }
}

}  // namespace
}  // namespace hipforge::harness
