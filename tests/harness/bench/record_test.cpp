#include "harness/bench/record.h"

#include "harness/system/file.h"
#include "kernels/runtime/status.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

namespace hipforge::harness {
namespace {

Record timed(const std::string& id) {
  Record record;
  record.id = id;
  record.op = "softmax";
  record.dtype = "bf16";
  record.shape = "4x8";
  record.bytes = 64 << 20;
  record.flops = 1000;
  record.ceiling = "copy";
  record.ceiling_rate = 800.0;
  record.floor_share = 0.5;
  record.copies = 2;
  record.checked_elements = 32;
  record.worst_error = 0.25;
  record.add_block({0.100, 0.104, 0.102});
  return record;
}

class RunFile : public ::testing::Test {
 protected:
  void SetUp() override {
    run_.device.info = {"nvidia", "GPU 1", "g++ 1"};
    run_.device.driver = "1.2";
    run_.recorded = "2026-01-02T03:04:05Z";
    run_.records = {timed("a"), timed("b")};
  }
  void TearDown() override { std::filesystem::remove(path_); }

  harness::Run stored() const {
    write_run(path_, run_);
    return read_run(path_);
  }
  static std::string refusal(const std::function<void()>& run) {
    try {
      run();
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing";
  }

  harness::Run run_;
  const std::string path_ = ::testing::TempDir() + "record_test." +
                            ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".json";
};

TEST_F(RunFile, HoldsWhatWasTimed) {
  run_.records[1].error = "wrong after timing";
  Record& theirs = run_.records.emplace_back(timed("a"));
  theirs.kernel = kCandidate;
  Record& unsupported = run_.records.emplace_back(timed("b"));
  unsupported.kernel = kCandidate;
  unsupported.unsupported = true;
  const harness::Run read = stored();
  EXPECT_EQ(read.device.info.name, "GPU 1");
  EXPECT_EQ(read.device.driver, "1.2");
  EXPECT_EQ(read.recorded, run_.recorded);
  ASSERT_EQ(read.records.size(), 4u);
  const Record& record = read.records[0];
  EXPECT_EQ(record.name(), "a");
  EXPECT_EQ(record.blocks_us, (std::vector<std::vector<double>>{{100.0, 104.0, 102.0}}));
  EXPECT_DOUBLE_EQ(record.us.median, 102.0);
  EXPECT_DOUBLE_EQ(record.us.spread(), run_.records[0].us.spread());
  EXPECT_DOUBLE_EQ(record.gbps(), (64 << 20) / 102.0 * 1e-3);
  EXPECT_DOUBLE_EQ(record.share(), record.gbps() / 800.0);
  EXPECT_EQ(record.floor(), "50 %");
  EXPECT_TRUE(record.reaches_floor());
  EXPECT_EQ(record.copies, 2);
  EXPECT_EQ(record.checked_elements, 32u);
  EXPECT_EQ(record.worst_error, 0.25);
  EXPECT_EQ(read.records[1].error, "wrong after timing");
  EXPECT_TRUE(read.records[1].has_floor());
  EXPECT_FALSE(read.records[1].reaches_floor());
  EXPECT_EQ(read.records[2].name(), "a (candidate)");
  EXPECT_FALSE(read.records[3].timed());
}

TEST_F(RunFile, BlocksOfAnotherProcessAreAdded) {
  harness::Run whole = stored();
  run_.records[1].error = "wrong before timing";
  add_run(whole, run_, Adds::kBlocks);
  EXPECT_EQ(whole.records[0].blocks_us.size(), 2u);
  EXPECT_EQ(whole.records[1].error, "wrong before timing");
  run_.records[0].id = "c";
  EXPECT_EQ(refusal([&] { add_run(whole, run_, Adds::kBlocks); }), path_ + " lacks c");
}

TEST_F(RunFile, PartsAreOneRunWhereTheyAreOfOneBuildAndDevice) {
  harness::Run whole = stored();
  whole.sources = "s1";
  harness::Run part = whole;
  part.path = "part.json";
  EXPECT_EQ(refusal([&] { add_run(whole, part, Adds::kCases); }), path_ + " already holds a of part.json");
  for (Record& record : part.records) record.id += "2";
  add_run(whole, part, Adds::kCases);
  EXPECT_EQ(whole.records.size(), 4u);
  part.records.clear();
  part.sources = "s2";
  EXPECT_EQ(refusal([&] { add_run(whole, part, Adds::kCases); }),
            path_ + " is of sources s1, part.json of s2");
  part.sources = "s1";
  part.device.driver = "1.3";
  EXPECT_EQ(refusal([&] { add_run(whole, part, Adds::kCases); }),
            path_ + " is of driver 1.2, part.json of 1.3");
  part.path.clear();
  EXPECT_EQ(refusal([&] { add_run(whole, part, Adds::kBlocks); }),
            path_ + " is of driver 1.2, this build of 1.3");
}

}  // namespace
}  // namespace hipforge::harness
