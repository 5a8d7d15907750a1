#include "harness/replay/replay_command.h"
#include "harness/check/check_command.h"
#include "harness/core/device_info.h"
#include "harness/replay/recording.h"
#include "harness/system/exit_code.h"
#include "kernels/runtime/kernel_registry.h"
#include "kernels/runtime/recorder.h"
#include "tests/captured_stdout.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <set>

namespace hipforge::harness {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using Lines = std::vector<Json>;

// A case with a launch of each of several kernels, small enough to be kept.
constexpr const char* kCases = "^softmax/f16/strided/(2x3x5x33|1x1x2x2049)/plain$";

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

class Replay : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("hipforge_replay_test." + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    record_ = folder_ / "record";
  }
  void TearDown() override { fs::remove_all(folder_); }

  void record(const std::string& target = "") {
    CheckOptions options;
    options.filter = kCases;
    options.target = target;
    options.record_path = record_;
    ::testing::internal::CaptureStdout();
    const int code = run_check(options);
    const std::string output = ::testing::internal::GetCapturedStdout();
    ASSERT_EQ(code, kExitGood) << output;
  }

  int replay(const std::string& filter = "") {
    ReplayOptions options;
    options.folder = record_;
    options.filter = filter;
    options.json_path = folder_ / "out.json";
    const CapturedStdout capture(output_);
    return run_replay(options);
  }

  [[nodiscard]] Json results() const {
    std::ifstream file(folder_ / "out.json");
    return Json::parse(file);
  }

  [[nodiscard]] Lines read_lines() const {
    std::ifstream file(record_ / "launches.jsonl");
    Lines lines;
    for (std::string line; std::getline(file, line);) lines.push_back(Json::parse(line));
    return lines;
  }
  void write_lines(const Lines& lines) const {
    std::ofstream file(record_ / "launches.jsonl", std::ios::trunc);
    for (const Json& line : lines) file << line.dump() << '\n';
  }
  void edit(const std::function<void(Lines&)>& change) const {
    Lines lines = read_lines();
    change(lines);
    write_lines(lines);
  }
  // Gives a launch's buffer other contents under a name that is right for them.
  void change_byte(Json& buffer, const char* when, std::size_t at) const {
    std::ifstream file(record_ / "data" / buffer[when].get<std::string>(), std::ios::binary);
    std::string content((std::istreambuf_iterator<char>(file)), {});
    ASSERT_LT(at, content.size());
    content[at] = static_cast<char>(content[at] ^ 0x10);
    const std::string name = content_name(bytes_of(content));
    std::ofstream(record_ / "data" / name, std::ios::binary) << content;
    buffer[when] = name;
  }

  fs::path folder_;
  fs::path record_;
  std::string output_;
};

// The first launch of an op, and its buffer of that operand.
Json& op_launch(Lines& lines) {
  return *std::find_if(lines.begin(), lines.end(), [](const Json& line) {
    return line.contains("case") && line["case"]["phase"] == "launch";
  });
}
Json& operand(Json& launch, const std::string& name) {
  for (const Json& entry : launch["case"]["operands"]) {
    if (entry[0] != name) continue;
    for (Json& buffer : launch["buffers"]) {
      if (buffer["allocation"] == entry[1]) return buffer;
    }
  }
  throw std::runtime_error("no operand " + name);
}

TEST(ContentName, IsMurmurHash3) {
  EXPECT_EQ(content_name({}), "00000000000000000000000000000000");
  EXPECT_EQ(content_name(bytes_of("hello")), "cbd8a7b341bd9b025b1e906a48ae1d19");
  EXPECT_EQ(content_name(bytes_of("The quick brown fox jumps over the lazy dog")),
            "e34bbc7bbc071b6c7a433ca9c49a9347");
}

TEST_F(Replay, RepeatsEveryBitOnTheSamePlatform) {
  record();
  const std::size_t launches = Recording(record_).launches.size();
  EXPECT_EQ(replay(), kExitGood) << output_;
  const Json root = results();
  EXPECT_EQ(root["passed"], launches);
  std::set<int> waves;
  for (const Json& row : root["launches"]) {
    EXPECT_TRUE(row["same_bits"].get<bool>()) << row;
    waves.insert(row["wave"].get<int>());
  }
  const std::vector<int> expected = default_waves();
  EXPECT_EQ(waves, std::set<int>(expected.begin(), expected.end()));
  EXPECT_NE(output_.find(std::to_string(launches) + " passed, 0 failed\n"), std::string::npos) << output_;
}

TEST_F(Replay, EqualContentsAreKeptOnce) {
  record();
  std::set<std::string> names;
  std::size_t mentions = 0;
  for (const Json& line : read_lines()) {
    if (!line.contains("buffers")) continue;
    for (const Json& buffer : line["buffers"]) {
      names.insert(buffer["before"].get<std::string>());
      names.insert(buffer["after"].get<std::string>());
      mentions += 2;
    }
  }
  const auto files = static_cast<std::size_t>(
      std::distance(fs::directory_iterator(record_ / "data"), fs::directory_iterator()));
  EXPECT_EQ(files, names.size());
  EXPECT_LT(files, mentions);
}

TEST_F(Replay, ARecordingIsReadableByOthersAndWritableByItsOwner) {
  record();
  EXPECT_EQ(fs::status(record_).permissions(), fs::perms{0755});
}

TEST_F(Replay, AFilterThatMatchesNothingIsAUsageError) {
  record();
  EXPECT_EQ(replay("^fill_"), kExitGood);
  EXPECT_THROW((void)replay("no such kernel"), UsageError);
  EXPECT_THROW((void)replay("("), UsageError);
}

TEST_F(Replay, FindsOneChangedBit) {
  record();
  edit([&](Lines& lines) { change_byte(operand(op_launch(lines), "y"), "after", 4096 + 2); });
  EXPECT_EQ(replay(), kExitFailed);
  EXPECT_NE(output_.find("1 bytes differ from the recording: y is"), std::string::npos) << output_;
  EXPECT_NE(output_.find(" passed, 1 failed\n"), std::string::npos) << output_;
}

TEST_F(Replay, FindsAChangedInput) {
  record();
  edit([&](Lines& lines) { change_byte(operand(op_launch(lines), "x"), "before", 4096 + 3); });
  EXPECT_EQ(replay(), kExitFailed) << output_;
}

// What another platform recorded is held against the oracle.
TEST_F(Replay, AsksTheOracleElsewhere) {
  record();
  edit([&](Lines& lines) {
    lines[0]["platform"] = "elsewhere";
    // As if the other platform had rounded one element otherwise.
    change_byte(operand(op_launch(lines), "y"), "after", 4096 + 2);
  });
  EXPECT_EQ(replay("softmax_"), kExitGood) << output_;
  const Json root = results();
  std::size_t other_bits = 0;
  for (const Json& row : root["launches"]) {
    EXPECT_GT(row["worst_share"].get<double>(), 0.0);
    EXPECT_LE(row["worst_share"].get<double>(), 1.0);
    other_bits += row["same_bits"].get<bool>() ? 0 : 1;
  }
  EXPECT_EQ(other_bits, 1u);

  edit([&](Lines& lines) { change_byte(operand(op_launch(lines), "x"), "before", 4096 + 3); });
  EXPECT_EQ(replay("softmax_"), kExitFailed) << output_;
}

TEST_F(Replay, WithoutACaseThereIsNoBoundElsewhere) {
  record();
  edit([&](Lines& lines) {
    lines[0]["platform"] = "elsewhere";
    Json& launch = op_launch(lines);
    change_byte(operand(launch, "y"), "after", 4096 + 2);
    launch.erase("case");
  });
  EXPECT_EQ(replay("softmax_"), kExitGood) << output_;
  EXPECT_NE(output_.find("without a case there is no bound"), std::string::npos) << output_;
  EXPECT_NE(output_.find(", 1 skipped\n"), std::string::npos) << output_;
}

TEST_F(Replay, AnUnknownKernelIsSkippedByName) {
  record();
  edit([&](Lines& lines) { op_launch(lines)["kernel"] = "softmax_of_another_build"; });
  EXPECT_EQ(replay(), kExitGood) << output_;
  EXPECT_NE(output_.find("SKIP 1 x kernel softmax_of_another_build is not in this build"), std::string::npos)
      << output_;
  EXPECT_EQ(results()["skips"], Json({{"kernel softmax_of_another_build is not in this build", 1}}));
  EXPECT_NE(output_.find(", 1 skipped\n"), std::string::npos) << output_;
}

#if defined(HIPFORGE_PLATFORM_CPU)
TEST_F(Replay, ATargetsLaunchesAreItsOwn) {
  record("gfx942");
  const Recording recording(record_);
  std::size_t ops = 0;
  for (const RecordedLaunch& launch : recording.launches) {
    EXPECT_EQ(launch.plan.target.architecture, "gfx942");
    EXPECT_EQ(launch.plan.target.wave, 64);
    if (launch.origin->made_inputs) continue;
    ++ops;
    EXPECT_NE(launch.kernel.find("_w64"), std::string::npos) << launch.kernel;
  }
  EXPECT_EQ(ops, 2u);
  EXPECT_EQ(replay(), kExitGood) << output_;
}

// How a launch that failed elsewhere is brought here: it is recorded, with its error.
TEST_F(Replay, AFaultIsRecordedAndFailsAgain) {
  const RegisteredKernel* const kernel = find_kernel("fill_f32");
  ASSERT_NE(kernel, nullptr);
  {
    Recorder recorder(record_);
    // count is element 9 of the arguments' 8-byte words; data stays null.
    std::vector<std::int64_t> words(kernel->args_bytes() / sizeof(std::int64_t));
    std::fill_n(words.begin() + 1, 4, 1);
    words[9] = 1;
    LaunchPlan plan;
    plan.block = dim3(32);
    ASSERT_TRUE(kernel->launch(plan, std::as_bytes(std::span(words)), nullptr).ok());
    EXPECT_NE(hipDeviceSynchronize(), hipSuccess) << "the recorder took the fault away";
    ASSERT_TRUE(recover_device());
    recorder.finish();
  }
  const Recording recording(record_);
  ASSERT_EQ(recording.launches.size(), 1u);
  EXPECT_NE(recording.launches[0].error, "");
  EXPECT_EQ(replay(), kExitFailed) << output_;
  EXPECT_NE(output_.find("fill_f32"), std::string::npos) << output_;
  EXPECT_EQ(hipDeviceSynchronize(), hipSuccess);
}
#endif

TEST_F(Replay, ARecordIsThereWholeOrNotAtAll) {
  { const Recorder recorder(record_); }
  EXPECT_TRUE(fs::is_empty(folder_)) << "an unfinished record left something";

  fs::create_directory(record_);
  Recorder(record_).finish();  // an empty folder may become the record
  EXPECT_EQ(Recording(record_).launches.size(), 0u);
  EXPECT_THROW(Recorder{record_}, Error);  // a record may not
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);

  try {
    const Recorder recorder("/no/such/folder/record");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("/no/such/folder/record"), std::string::npos) << error.what();
  }
}

TEST_F(Replay, AFullDiskIsOneErrorAndLeavesNothing) {
  CheckOptions options;
  options.filter = kCases;
  options.record_path = record_;
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{4096, old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  std::string message;
  try {
    (void)run_check(options);
  } catch (const Error& error) {
    message = error.what();
  }
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
  (void)std::signal(SIGXFSZ, handler);
  EXPECT_NE(message.find(record_.string() + ": cannot be written: "), std::string::npos) << message;
  EXPECT_TRUE(fs::is_empty(folder_));
}

struct Corruption {
  const char* name;
  std::function<void(const fs::path& record, Lines& lines)> make;
  const char* message;
};

void PrintTo(const Corruption& corruption, std::ostream* stream) {
  *stream << corruption.name;
}

class CorruptRecord : public Replay, public testing::WithParamInterface<Corruption> {};

TEST_P(CorruptRecord, IsOneClearError) {
  record();
  Lines lines = read_lines();
  GetParam().make(record_, lines);
  write_lines(lines);
  try {
    const int code = replay();
    FAIL() << "no error, exit code " << code << "\n" << output_;
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find(record_.string()), std::string::npos) << message;
    EXPECT_NE(message.find(GetParam().message), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

fs::path content_of(const fs::path& record, const Json& buffer) {
  return record / "data" / buffer["before"].get<std::string>();
}

const Corruption kCorruptions[] = {
    {"truncated_contents",
     [](const fs::path& record, Lines& lines) {
       fs::resize_file(content_of(record, operand(op_launch(lines), "x")), 100);
     },
     "has 100 bytes, needs "},
    {"missing_contents",
     [](const fs::path& record, Lines& lines) {
       fs::remove(content_of(record, operand(op_launch(lines), "x")));
     },
     "is not there"},
    {"damaged_contents",
     [](const fs::path& record, Lines& lines) {
       std::fstream file(content_of(record, operand(op_launch(lines), "x")),
                         std::ios::binary | std::ios::in | std::ios::out);
       file.seekp(4200);
       file.put('\x5a');
       file.put('\x5b');
     },
     "has other contents than its name says"},
    {"link_out_of_the_folder",
     [](const fs::path& record, Lines& lines) {
       const fs::path path = content_of(record, operand(op_launch(lines), "x"));
       const fs::path elsewhere = record.parent_path() / "elsewhere";
       fs::rename(path, elsewhere);
       fs::create_symlink(elsewhere, path);
     },
     "is not there"},
    {"path_as_name",
     [](const fs::path&, Lines& lines) {
       operand(op_launch(lines), "x")["before"] = "../../../../../../../etc/passwd";
     },
     "name is not 32 hex digits"},
    {"path_of_32_characters",
     [](const fs::path&, Lines& lines) {
       operand(op_launch(lines), "x")["before"] = "../../../../../../..//etc/passwd";
     },
     "name is not 32 hex digits"},
    {"no_json", [](const fs::path&, Lines& lines) { lines[2] = Json::parse("[1, 2]"); },
     "an object with launch"},
    {"another_version", [](const fs::path&, Lines& lines) { lines[0]["hipforge_record"] = 2; }, "reads 1"},
    {"cut_at_a_line", [](const fs::path&, Lines& lines) { lines.pop_back(); }, "the file is cut"},
    {"launches_lost", [](const fs::path&, Lines& lines) { lines.erase(lines.end() - 2); }, "end says"},
    {"launch_twice", [](const fs::path&, Lines& lines) { lines.insert(lines.begin() + 3, lines[2]); },
     "launch is 0, needs 1"},
    {"pointer_outside",
     [](const fs::path&, Lines& lines) {
       Json& launch = op_launch(lines);
       std::string args = launch["args"];
       args.replace(2 * launch["pointers"][0][0].get<std::size_t>(), 16, "ffffffffffffffff");
       launch["args"] = args;
     },
     "outside of its allocation"},
    {"pointer_past_the_args",
     [](const fs::path&, Lines& lines) { op_launch(lines)["pointers"][0][0] = 1 << 20; },
     "a pointer's offset is 1048576"},
    {"pointer_between_words", [](const fs::path&, Lines& lines) { op_launch(lines)["pointers"][0][0] = 1; },
     "a multiple of 8"},
    {"pointer_to_no_buffer",
     [](const fs::path&, Lines& lines) { op_launch(lines)["pointers"][0][1] = 1 << 20; },
     "is not among the buffers"},
    {"buffer_of_no_allocation",
     [](const fs::path&, Lines& lines) { operand(op_launch(lines), "x")["allocation"] = 1 << 20; },
     "allocation is 1048576"},
    {"sizes_that_disagree",
     [](const fs::path&, Lines& lines) {
       for (Json& line : lines) {
         if (!line.contains("allocations")) continue;
         for (Json& allocation : line["allocations"]) allocation[1] = allocation[1].get<std::size_t>() - 1;
       }
     },
     " bytes, needs "},
    {"allocations_that_overlap",
     [](const fs::path&, Lines& lines) {
       for (Json& line : lines) {
         if (!line.contains("allocations") || line["allocations"].size() < 2) continue;
         line["allocations"][0][1] = std::uint64_t{1} << 40;
       }
     },
     "overlap"},
    {"allocation_past_the_last_address",
     [](const fs::path&, Lines& lines) {
       lines[1]["allocations"][0][1] = std::numeric_limits<std::uint64_t>::max();
     },
     "past the last address"},
    {"negative_size", [](const fs::path&, Lines& lines) { op_launch(lines)["shared_bytes"] = -1; },
     "shared_bytes is no whole number"},
    {"block_too_large",
     [](const fs::path&, Lines& lines) {
       op_launch(lines)["block"] = {1024, 2, 1};
     },
     "2048 threads"},
    {"empty_grid",
     [](const fs::path&, Lines& lines) {
       op_launch(lines)["grid"] = {0, 1, 1};
     },
     "grid is 0"},
    {"args_cut", [](const fs::path&, Lines& lines) { op_launch(lines)["args"] = "0"; }, "hex digits"},
    {"args_of_other_letters", [](const fs::path&, Lines& lines) { op_launch(lines)["args"] = "zz"; },
     "no hex digit"},
    {"kernel_that_is_no_name", [](const fs::path&, Lines& lines) { op_launch(lines)["kernel"] = "a/b"; },
     "no name of a kernel"},
    {"wave_of_48", [](const fs::path&, Lines& lines) { op_launch(lines)["target"]["wave"] = 48; },
     "wave is 48"},
    {"unknown_phase", [](const fs::path&, Lines& lines) { op_launch(lines)["case"]["phase"] = "x"; },
     "phase"},
};

INSTANTIATE_TEST_SUITE_P(Every, CorruptRecord, ::testing::ValuesIn(kCorruptions),
                         [](const auto& test) { return std::string(test.param.name); });

TEST_F(Replay, WhatIsNoJsonIsOneClearError) {
  record();
  std::ofstream(record_ / "launches.jsonl", std::ios::trunc) << "{\"hipforge_record\": 1,\n";
  try {
    const Recording recording(record_);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("launches.jsonl:1: "), std::string::npos) << error.what();
  }
  EXPECT_THROW(Recording{folder_}, Error);
  EXPECT_THROW(Recording{"/no/such/folder"}, Error);
}

}  // namespace
}  // namespace hipforge::harness
