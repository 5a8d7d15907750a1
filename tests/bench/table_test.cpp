#include "bench/table.h"

#include "kernels/runtime/check.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace hipforge::bench {
namespace {

class Table : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text) const {
    const std::string path = (folder_ / name).string();
    std::ofstream(path) << text;
    return path;
  }

  const std::filesystem::path folder_ =
      std::filesystem::path(::testing::TempDir()) /
      ("table." + std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
};

constexpr const char* kBench =
    R"({"sources": "x", "result": {"platform": "nvidia", "device": "GPU 1", "driver": "1.2", "runtime": "1.3",
 "cases": [
  {"id": "softmax/f32/contiguous/1x8/plain", "op": "softmax", "dtype": "f32", "shape": "1x8", "median_us": 1.0},
  {"id": "softmax/bf16/large/4096x16384/plain", "op": "softmax", "dtype": "bf16", "shape": "4096x16384",
   "median_us": 200.0, "bytes": 268435456, "ceiling": "copy", "ceiling_rate": 2900.0, "floor_share": 0.85},
  {"id": "linear/bf16/large/8192x8192x8192/any_order", "op": "linear", "dtype": "bf16",
   "shape": "8192x8192x8192", "median_us": 1600.0, "bytes": 402653184, "flops": 1099511627776,
   "ceiling": "matrix", "ceiling_rate": 690.0, "floor_tflops": 400.0},
  {"id": "linear/f16/large/1x2x3/any_order", "op": "linear", "dtype": "f16", "shape": "1x2x3", "error": "wrong"},
  {"id": "linear/bf16/large/8192x8192x8192/any_order", "kernel": "candidate", "op": "linear", "dtype": "bf16",
   "shape": "8192x8192x8192", "median_us": 9876.0}]}})";

constexpr const char* kPeers = R"({"libraries": {"torch": "2.1", "cudnn": 90, "flash_attn": null}, "cases": [
  {"id": "softmax/bf16/large/4096x16384/plain", "peer": "slow", "median_us": 300.0},
  {"id": "softmax/bf16/large/4096x16384/plain", "peer": "fast", "median_us": 100.0},
  {"id": "linear/bf16/large/8192x8192x8192/any_order", "peer": "cuBLAS", "median_us": 2000.0},
  {"id": "linear/f16/large/1x2x3/any_order", "peer": "cuBLAS", "skipped": "no such kernel"}]})";

TEST_F(Table, SetsTheFastestPeerBesideUsAndNamesWhereItIsAhead) {
  const std::string text = markdown_table({write("bench.json", kBench), write("peers.json", kPeers), ""});
  EXPECT_NE(text.find("GPU 1, driver 1.2, runtime 1.3; peers: cudnn 90, torch 2.1\n"), std::string::npos)
      << text;
  EXPECT_NE(
      text.find(
          "| softmax bf16 4096x16384, plain | 200.0 µs | 1342 GB/s | 46.3 % of copy | 85 % **missed** | "
          "fast, 100.0 µs | 0.50 |"),
      std::string::npos)
      << text;
  EXPECT_NE(text.find("| linear bf16 8192x8192x8192, any order | 1.600 ms | 687 TFLOP/s | 99.6 % of matrix | "
                      "400 TFLOP/s | cuBLAS, 2.000 ms | 1.25 |"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("| linear f16 1x2x3, any order | no figure: wrong |"), std::string::npos) << text;
  EXPECT_NE(text.find("Where a peer is ahead:\n\n- softmax bf16 4096x16384, plain: fast takes 0.50"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("- cuBLAS on linear/f16/large/1x2x3/any_order: no such kernel"), std::string::npos)
      << text;
  EXPECT_EQ(text.find("1x8"), std::string::npos) << "a case that is not large is in the table";
  EXPECT_EQ(text.find("9.876"), std::string::npos) << "a candidate's time is in the table";
}

TEST_F(Table, ADtypeLeavesTheOthersOut) {
  const std::string text = markdown_table({write("bench.json", kBench), write("peers.json", kPeers), "bf16"});
  EXPECT_EQ(text.find("f16 1x2x3"), std::string::npos) << text;
  EXPECT_EQ(text.find("could not run"), std::string::npos) << text;
  EXPECT_NE(text.find("linear bf16"), std::string::npos) << text;
}

TEST_F(Table, AFileThatIsNoResultIsNamed) {
  for (const std::string& path : {std::string("/no/such/bench.json"), write("bench.json", "{\"result\": 3}"),
                                  write("text.json", "nothing")}) {
    try {
      (void)markdown_table({path, "", ""});
      ADD_FAILURE() << path;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find(path), std::string::npos) << error.what();
    }
  }
}

}  // namespace
}  // namespace hipforge::bench
