#include "harness/replay/rerun.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

namespace hipforge::harness {
namespace {

namespace fs = std::filesystem;

class FindEmulation : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("hipforge_emulation_test." + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "checkout" / "test" / "mockgpu" / "amd");
    std::ofstream(folder_ / "checkout" / "test" / "mockgpu" / "amd" / "emu.py") << "\n";
    fs::create_directories(folder_ / "code" / "gfx942");
    std::ofstream(folder_ / "code" / "gfx942" / "op.co") << "\n";
    std::ofstream(folder_ / "code" / "gfx942" / "op.co.d") << "\n";
    if (const char* was = std::getenv("HIPFORGE_TINYGRAD")) was_ = was;
    name_checkout(folder_ / "checkout");
  }
  void TearDown() override {
    if (was_) {
      ::setenv("HIPFORGE_TINYGRAD", was_->c_str(), 1);
    } else {
      ::unsetenv("HIPFORGE_TINYGRAD");
    }
    fs::remove_all(folder_);
  }
  static void name_checkout(const fs::path& path) { ::setenv("HIPFORGE_TINYGRAD", path.c_str(), 1); }

  // The one line that says what is missing; empty where nothing is.
  [[nodiscard]] std::string missing(const std::string& architecture) const {
    try {
      (void)find_emulation(architecture, folder_ / "code");
      return {};
    } catch (const Error& error) {
      EXPECT_EQ(error.status().code, StatusCode::kNotFound);
      const std::string message = error.what();
      EXPECT_EQ(message.find('\n'), std::string::npos) << message;
      return message;
    }
  }

  // Of a launch whose emulator and whose disassembler are these shell scripts.
  [[nodiscard]] Rerun rerun(const std::string& emulator, const std::string& disassembler) const {
    const auto script = [](const fs::path& path, const std::string& text) {
      std::ofstream(path) << "#!/bin/sh\n" << text;
      fs::permissions(path, fs::perms::owner_all);
    };
    script(folder_ / "python3", emulator);
    script(folder_ / "objdump", disassembler);
    std::ofstream(folder_ / "code" / "toolchain.json") << nlohmann::json{
        {"compiler", ""}, {"device_libraries", ""}, {"objdump", (folder_ / "objdump").string()}};
    const char* const path = std::getenv("PATH");
    const std::string path_was = path == nullptr ? "" : path;
    ::setenv("PATH", (folder_.string() + ":" + path_was).c_str(), 1);
    Rerun result = make_emulator(find_emulation("gfx942", folder_ / "code"))->run({}, {});
    ::setenv("PATH", path_was.c_str(), 1);
    return result;
  }

  fs::path folder_;
  std::optional<std::string> was_;
};

TEST_F(FindEmulation, TakesTheArchitecturesCodeObjectsAlone) {
  const Emulation emulation = find_emulation("gfx942", folder_ / "code");
  ASSERT_EQ(emulation.command.size(), 4u);
  EXPECT_EQ(emulation.command[2], "gfx942");
  EXPECT_EQ(fs::path(emulation.command[3]).filename(), "op.co");
}

TEST_F(FindEmulation, SaysWhatIsMissingAndHowToGetIt) {
  EXPECT_NE(missing("gfx90a").find("./test.sh --only amd-code"), std::string::npos) << missing("gfx90a");
  name_checkout(folder_);
  EXPECT_NE(missing("gfx942").find("has no test/mockgpu/amd/emu.py"), std::string::npos) << missing("gfx942");
  ::unsetenv("HIPFORGE_TINYGRAD");
  EXPECT_NE(missing("gfx942").find("git clone https://github.com/tinygrad/tinygrad"), std::string::npos)
      << missing("gfx942");
}

TEST_F(FindEmulation, AnEmulatorThatDoesNotStartSaysWhy) {
  try {
    (void)make_emulator(find_emulation("gfx942", folder_ / "code"));
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("the emulator does not start"), std::string::npos)
        << error.what();
  }
}

TEST_F(FindEmulation, WhatTheEmulatorLacksHasTheDisassemblersName) {
  const auto emulator = [](const std::string& place) {
    return "echo '{\"ready\": true}'\nread launch\n"
           "echo '{\"not_emulated\": \"the encoding 0xd3e78008\"" +
           place + "}'\n";
  };
  const auto disassembler = [](const std::string& instruction) {
    return "[ \"$3 $4\" = '--start-address=4104 --stop-address=4105' ] || exit 1\n"
           "printf '0000000000001000 <kernel>:\\n\\t" +
           instruction + " // 000000001008: D3E78008 04221912\\n'\n";
  };
  const std::string lacking = emulator(R"(, "code_object": "op.co", "address": 4104)");
  const std::string naming = disassembler("v_mfma_f32_16x16x16bf16_1k a[8:11], v[18:19], v[12:13], a[8:11]");
  const Rerun named = rerun(lacking, naming);
  EXPECT_EQ(named.outcome, Rerun::Outcome::kSkipped);
  EXPECT_EQ(named.reason, "not emulated: v_mfma_f32_16x16x16bf16_1k");
  // Where nothing names it, the emulator's words stay.
  for (const Rerun& unnamed : {rerun(lacking, disassembler(".long 0xd3e78008")), rerun(lacking, "exit 1\n"),
                               rerun(emulator(""), naming)}) {
    EXPECT_EQ(unnamed.outcome, Rerun::Outcome::kSkipped);
    EXPECT_EQ(unnamed.reason, "not emulated: the encoding 0xd3e78008");
  }
}

}  // namespace
}  // namespace hipforge::harness
