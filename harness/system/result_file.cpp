#include "harness/system/result_file.h"

#include "harness/bench/timer.h"
#include "harness/system/file.h"
#include "kernels/runtime/check.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace hipforge::harness {
namespace {

using Json = nlohmann::json;

TimedCase case_of(const Json& row) {
  TimedCase test;
  test.id = row.at("id").get<std::string>();
  test.op = row.value("op", "");
  test.dtype = row.value("dtype", "");
  test.error = row.value("error", "");
  if (!test.error.empty()) return test;
  test.median_us = row.at("median_us").get<double>();
  for (const Json& block : row.value("blocks_us", Json::array())) {
    test.blocks_us.push_back(block.get<std::vector<double>>());
    const std::vector<double>& samples = test.blocks_us.back();
    if (samples.empty() || !std::all_of(samples.begin(), samples.end(),
                                        [](double value) { return std::isfinite(value) && value > 0.0; })) {
      throw Error(invalid_argument(test.id, " has a block that is empty or holds no times"));
    }
  }
  return test;
}

}  // namespace

TimedRun read_timed_run(const std::string& path) {
  const std::string text = read_file(path);
  TimedRun run;
  run.path = path;
  try {
    Json root = Json::parse(text);
    run.commit = root.value("commit", "");
    if (root.contains("result")) root = Json(root["result"]);
    run.platform = root.at("platform").get<std::string>();
    run.device = root.at("device").get<std::string>();
    run.compiler = root.value("compiler", "");
    run.driver = root.value("driver", "");
    run.recorded = root.value("recorded", "");
    for (const Json& row : root.at("cases")) run.cases.push_back(case_of(row));
  } catch (const Error& error) {
    throw Error(invalid_argument(path, ": ", error.what()));
  } catch (const nlohmann::json::exception& error) {
    throw Error(invalid_argument(path, " is no result of hipforge_bench: ", error.what()));
  }
  return run;
}

double block_value(const std::string& platform, const std::vector<double>& samples) {
  return percentile(samples, platform == "cpu" ? 0.0 : 0.5);
}

}  // namespace hipforge::harness
