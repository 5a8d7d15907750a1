#include "harness/output/summary.h"

#include "harness/system/file.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace hipforge::harness {
namespace {

using Verdict = Entry::Verdict;

std::string xml(const std::string& text) {
  std::string escaped = replaced(text, {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&quot;"}});
  std::ranges::replace_if(
      escaped, [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return escaped;
}

}  // namespace

std::string json_text(const JsonFields& fields) {
  using Json = nlohmann::ordered_json;
  return Json(fields).dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::size_t Summary::count(Verdict verdict) const {
  return static_cast<std::size_t>(std::count_if(
      entries.begin(), entries.end(), [verdict](const Entry& entry) { return entry.verdict == verdict; }));
}

std::string closing_line(const Summary& summary) {
  const std::size_t skips = summary.count(Verdict::kSkipped);
  return fmt::format("{} passed, {} failed{}", summary.count(Verdict::kPassed),
                     summary.count(Verdict::kFailed) + summary.other_failures,
                     skips == 0 ? "" : fmt::format(", {} {}", skips, summary.skipped));
}

std::string summary_json(const Summary& summary) {
  JsonFields root = summary.head;
  root.emplace_back("passed", summary.count(Verdict::kPassed));
  root.emplace_back("failed", summary.count(Verdict::kFailed));
  root.emplace_back("skipped", summary.count(Verdict::kSkipped));
  std::vector<JsonFields> rows;
  for (const Entry& entry : summary.entries) rows.push_back(entry.fields);
  root.emplace_back(summary.rows, std::move(rows));
  return json_text(root);
}

std::string summary_junit(const Summary& summary) {
  struct Suite {
    std::string body;
    std::size_t tests = 0, failures = 0, skipped = 0;
    double seconds = 0.0;
  };
  std::map<std::string, Suite> suites;
  for (const Entry& entry : summary.entries) {
    Suite& suite = suites[entry.group];
    ++suite.tests;
    suite.seconds += entry.seconds;
    suite.body += fmt::format("    <testcase classname=\"hipforge.{}\" name=\"{}\" time=\"{:.6f}\"",
                              xml(entry.group), xml(entry.name), entry.seconds);
    if (entry.verdict == Verdict::kPassed) {
      suite.body += "/>\n";
    } else if (entry.verdict == Verdict::kSkipped) {
      ++suite.skipped;
      suite.body += "><skipped/></testcase>\n";
    } else {
      ++suite.failures;
      suite.body += fmt::format(">\n      <failure message=\"{}\">{}</failure>\n    </testcase>\n",
                                xml(entry.message), xml(entry.repeat));
    }
  }
  std::string text = fmt::format("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites time=\"{:.3f}\">\n",
                                 summary.seconds);
  for (const auto& [group, suite] : suites) {
    text += fmt::format(
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" time=\"{:.6f}\">\n{}"
        "  </testsuite>\n",
        xml(group), suite.tests, suite.failures, suite.skipped, suite.seconds, suite.body);
  }
  return text + "</testsuites>\n";
}

std::string summary_markdown(const Summary& summary) {
  Sheet failures{{"failed", "message", "repeat"}, {}};
  for (const Entry& entry : summary.entries) {
    if (entry.verdict == Verdict::kFailed) failures.rows.push_back({entry.name, entry.message, entry.repeat});
  }
  return markdown(summary.groups) + (failures.rows.empty() ? "" : "\n" + markdown(failures)) + "\n" +
         closing_line(summary) + "\n";
}

void write_summary(const SummaryFiles& files, const Summary& summary) {
  if (!files.json.empty()) write_file(files.json, summary_json(summary));
  if (!files.junit.empty()) write_file(files.junit, summary_junit(summary));
  if (!files.csv.empty()) write_file(files.csv, csv(summary.details));
  if (!files.markdown.empty()) write_file(files.markdown, summary_markdown(summary));
}

}  // namespace hipforge::harness
