#include "harness/isa/code_object.h"

#include "harness/system/file.h"
#include "kernels/runtime/status.h"
#include "tests/harness/isa/code_object_builder.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace hipforge::harness {
namespace {

using testing::code_object_of;
using testing::KernelSpec;

// The message of the error that reading these bytes must end in.
std::string message_of(const std::string& bytes) {
  try {
    (void)parse_code_object("x.co", bytes);
  } catch (const Error& error) {
    EXPECT_EQ(error.status().code, StatusCode::kInvalidArgument);
    EXPECT_EQ(error.status().message.rfind("x.co: ", 0), 0u) << error.status().message;
    return error.status().message;
  }
  return "no error";
}

void expect_message(const std::string& bytes, const std::string& part) {
  const std::string message = message_of(bytes);
  EXPECT_NE(message.find(part), std::string::npos) << message;
}

TEST(CodeObject, ReadsWhatTheMetadataSays) {
  nlohmann::json metadata = testing::metadata(
      "gfx90a:sramecc+:xnack-",
      {{"first_w64", 358, 100, 8, 256, 64}, {.name = "second_w64", .vgprs = 12, .sgprs = 20}});
  metadata["amdhsa.kernels"][0][".agpr_count"] = 102;
  metadata["amdhsa.kernels"][0][".vgpr_spill_count"] = 3;
  metadata["amdhsa.kernels"][0][".uses_dynamic_stack"] = true;
  const CodeObject object = parse_code_object("x.co", code_object_of(metadata));
  EXPECT_EQ(object.architecture, "gfx90a");
  ASSERT_EQ(object.kernels.size(), 2u);
  const KernelMetadata& first = object.kernels[0];
  EXPECT_EQ(first.name, "first_w64");
  EXPECT_EQ(first.vgprs, 358);
  EXPECT_EQ(first.agprs, 102);
  EXPECT_EQ(first.sgprs, 100);
  EXPECT_EQ(first.vgpr_spills, 3);
  EXPECT_EQ(first.scratch_bytes, 8);
  EXPECT_EQ(first.lds_bytes, 256);
  EXPECT_EQ(first.max_threads, 256);
  EXPECT_EQ(first.wave, 64);
  EXPECT_TRUE(first.dynamic_stack);
  EXPECT_EQ(object.kernels[1].name, "second_w64");
  EXPECT_FALSE(object.kernels[1].dynamic_stack);
}

TEST(CodeObject, RefusesWhatIsNoCodeObject) {
  expect_message("", "not an ELF file");
  expect_message("#!/bin/sh\n", "not an ELF file");
  std::string bytes = code_object_of(testing::metadata("gfx942", {{.name = "k"}}));
  bytes[EI_CLASS] = ELFCLASS32;
  expect_message(bytes, "64-bit");
  bytes = code_object_of(testing::metadata("gfx942", {{.name = "k"}}));
  bytes[offsetof(Elf64_Ehdr, e_machine)] = 62;
  expect_message(bytes, "machine 62");
  bytes = code_object_of(testing::metadata("gfx942", {{.name = "k"}}));
  bytes[offsetof(Elf64_Ehdr, e_phnum)] = 0;
  expect_message(bytes, "no note");
  bytes = code_object_of(testing::metadata("gfx942", {{.name = "k"}}));
  bytes[offsetof(Elf64_Ehdr, e_phentsize)] = 1;
  expect_message(bytes, "program headers");
}

TEST(CodeObject, RefusesMetadataThatMakesNoSense) {
  const nlohmann::json good = testing::metadata("gfx942", {{.name = "k"}});
  nlohmann::json bad = good;
  bad.erase("amdhsa.target");
  expect_message(code_object_of(bad), "amdhsa.target");
  bad = good;
  bad["amdhsa.kernels"] = 3;
  expect_message(code_object_of(bad), "list of kernels");
  bad = good;
  bad["amdhsa.kernels"][0] = "k";
  expect_message(code_object_of(bad), "no map");
  bad = good;
  bad["amdhsa.kernels"][0].erase(".vgpr_count");
  expect_message(code_object_of(bad), ".vgpr_count");
  for (const nlohmann::json& value : {nlohmann::json(-1), nlohmann::json("8"), nlohmann::json(8.5),
                                      nlohmann::json(std::numeric_limits<std::uint64_t>::max())}) {
    bad = good;
    bad["amdhsa.kernels"][0][".private_segment_fixed_size"] = value;
    expect_message(code_object_of(bad), ".private_segment_fixed_size");
  }
  bad = good;
  bad["amdhsa.kernels"][0][".wavefront_size"] = 48;
  expect_message(code_object_of(bad), "waves of 48");
  expect_message(code_object_of(std::string("\xc1")), "msgpack");
  expect_message(code_object_of(std::string("\xdd\xff\xff\xff\xff", 5)),
                 "msgpack");  // 2^32 - 1 elements, none there
}

TEST(CodeObject, DeepNestingIsRefusedRatherThanFollowed) {
  expect_message(code_object_of(std::string(4 << 20, '\x91')), "msgpack");
}

TEST(CodeObject, ATruncatedFileIsRefusedAtEveryLength) {
  const std::string bytes = code_object_of(testing::metadata("gfx942", {{.name = "kernel_w64"}}));
  // Up to the padding behind the note, which nothing needs.
  const std::size_t whole = bytes.find_last_not_of('\0') + 1;
  for (std::size_t length = 0; length < whole; ++length) {
    EXPECT_NE(message_of(bytes.substr(0, length)), "no error") << length << " bytes";
  }
}

TEST(CodeObject, NoteSizesThatReachPastTheSegmentAreRefused) {
  const std::string bytes = code_object_of(testing::metadata("gfx942", {{.name = "k"}}));
  const std::size_t note = sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr);
  for (const std::size_t field : {offsetof(Elf64_Nhdr, n_namesz), offsetof(Elf64_Nhdr, n_descsz)}) {
    for (const std::uint32_t size : {0x7fffffffu, 0xfffffffcu, 0xffffffffu}) {
      std::string bad = bytes;
      std::memcpy(bad.data() + note + field, &size, sizeof(size));
      expect_message(bad, "past its segment");
    }
  }
}

// Whatever stands in the file: an error or a code object, no crash.
TEST(CodeObject, RandomDamageNeverCrashes) {
  const std::string bytes = code_object_of(testing::metadata("gfx942", {{.name = "one"}, {.name = "two"}}));
  std::mt19937 random(7);
  int refused = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string bad = bytes;
    for (int i = 0; i < 3; ++i) bad[random() % bad.size()] = static_cast<char>(random());
    try {
      (void)parse_code_object("x.co", bad);
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 1000);
}

TEST(CodeObject, AMissingFileAndAFolderAreNamed) {
  for (const char* path : {"/nonexistent/x.co", "/tmp"}) {
    try {
      (void)parse_code_object(path, read_file(path));
      ADD_FAILURE() << path << " was read";
    } catch (const Error& error) {
      EXPECT_EQ(error.status().message, std::string("cannot read ") + path);
    }
  }
}

}  // namespace
}  // namespace hipforge::harness
