#include "harness/check/check_files.h"

#include "harness/core/device_info.h"
#include "harness/system/file.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <map>

namespace hipforge::harness {
namespace {

std::string xml_escape(const std::string& text) {
  std::string escaped;
  for (char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return escaped;
}

}  // namespace

void write_json(const CheckOptions& options, const std::vector<CaseRecord>& records, double seconds) {
  const DeviceInfo info = device_info();
  nlohmann::ordered_json root;
  root["platform"] = info.platform;
  root["device"] = info.name;
  root["compiler"] = info.compiler;
  root["seed"] = options.seed;
  root["seconds"] = seconds;
  nlohmann::ordered_json results = nlohmann::ordered_json::array();
  std::size_t failed = 0;
  std::size_t unsupported = 0;
  for (const CaseRecord& record : records) {
    failed += record.failed() ? 1 : 0;
    unsupported += record.result.unsupported ? 1 : 0;
    nlohmann::ordered_json row;
    row["id"] = record.test->id;
    row["op"] = record.test->op;
    row["dtype"] = dtype_name(record.test->dtype);
    row["layout"] = record.test->layout;
    row["features"] = record.test->features;
    row["target"] = record.target.architecture;
    row["wave"] = record.target.wave;
    row["passed"] = record.result.passed;
    // JSON has no infinity: an element of the wrong class has no share.
    if (std::isfinite(record.result.worst_share)) {
      row["worst_share"] = record.result.worst_share;
    } else {
      row["worst_share"] = nullptr;
    }
    row["where"] = record.result.where;
    row["seconds"] = record.seconds;
    if (record.result.unsupported) row["unsupported"] = true;
    if (record.failed()) {
      row["message"] = record.result.message;
      row["failure"] = failure_name(record.result.failure);
      row["repeat"] = repro_command(record, options);
      if (!record.shrunk_id.empty()) {
        row["shrunk"] = {{"id", record.shrunk_id},
                         {"message", record.shrunk_message},
                         {"repeat", case_command(record.shrunk_id, record.target, options)}};
      }
    }
    results.push_back(std::move(row));
  }
  root["passed"] = records.size() - failed - unsupported;
  root["failed"] = failed;
  if (unsupported > 0) root["unsupported"] = unsupported;
  root["results"] = std::move(results);
  write_file(options.json_path, root.dump(1) + "\n");
}

void write_junit(const CheckOptions& options, const std::vector<CaseRecord>& records, double seconds) {
  struct Suite {
    std::string body;
    std::size_t tests = 0;
    std::size_t failures = 0;
    double seconds = 0.0;
  };
  std::map<std::string, Suite> suites;
  for (const CaseRecord& record : records) {
    Suite& suite = suites[record.test->op];
    ++suite.tests;
    suite.seconds += record.seconds;
    const std::string name = xml_escape(fmt::format("{} wave {}", record.test->id, record.target.wave));
    suite.body += fmt::format("    <testcase classname=\"hipforge.{}\" name=\"{}\" time=\"{:.6f}\"",
                              record.test->op, name, record.seconds);
    if (record.result.passed) {
      suite.body += "/>\n";
    } else if (record.result.unsupported) {
      suite.body += "><skipped/></testcase>\n";
    } else {
      ++suite.failures;
      suite.body +=
          fmt::format(">\n      <failure message=\"{}\">{}</failure>\n    </testcase>\n",
                      xml_escape(record.result.message), xml_escape(repro_command(record, options)));
    }
  }
  std::string text =
      fmt::format("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites time=\"{:.3f}\">\n", seconds);
  for (const auto& [op, suite] : suites) {
    text += fmt::format(
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" time=\"{:.6f}\">\n{}  </testsuite>\n", op,
        suite.tests, suite.failures, suite.seconds, suite.body);
  }
  write_file(options.junit_path, text + "</testsuites>\n");
}

}  // namespace hipforge::harness
