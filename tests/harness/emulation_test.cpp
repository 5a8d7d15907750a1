#include "harness/emulation.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

namespace hipforge::harness {
namespace {

namespace fs = std::filesystem;

class FindEmulation : public testing::Test {
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

  fs::path folder_;
  std::optional<std::string> was_;
};

TEST_F(FindEmulation, TakesTheArchitecturesCodeObjectsAlone) {
  const Emulation emulation = find_emulation("gfx942", folder_ / "code");
  ASSERT_EQ(emulation.code_objects.size(), 1u);
  EXPECT_EQ(emulation.code_objects[0].filename(), "op.co");
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

}  // namespace
}  // namespace hipforge::harness
