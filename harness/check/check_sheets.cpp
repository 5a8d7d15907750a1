#include "harness/check/check_sheets.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <tuple>

namespace hipforge::harness {
namespace {

std::string share_text(double share, bool bounded) {
  if (!std::isfinite(share)) return "wrong";
  return !bounded && share == 0.0 ? "exact" : fmt::format("{:.4f}", share);
}

}  // namespace

Sheet result_sheet(const CheckOptions& options, const std::vector<CaseRecord>& records) {
  Sheet sheet;
  sheet.headings = {"case",   "op",    "dtype", "layout",  "wave",    "target",
                    "passed", "share", "where", "seconds", "message", "repeat"};
  for (const CaseRecord& record : records) {
    const CaseResult& result = record.result;
    sheet.rows.push_back({record.test->id, record.test->op, dtype_name(record.test->dtype),
                          record.test->layout, std::to_string(record.target.wave), record.target.architecture,
                          result.passed        ? "yes"
                          : result.unsupported ? "not supported"
                                               : "no",
                          share_text(result.worst_share, result.bounded), result.where,
                          fmt::format("{:.4f}", record.seconds), result.message,
                          record.failed() ? repro_command(record, options) : ""});
  }
  return sheet;
}

Sheet summary_sheet(const std::vector<CaseRecord>& records) {
  struct Group {
    std::size_t cases = 0;
    std::size_t failed = 0;
    bool bounded = false;
    double worst_share = 0.0;
    std::string where;
  };
  using Key = std::tuple<std::string, std::string, int>;
  std::vector<Key> order;
  std::map<Key, Group> groups;
  for (const CaseRecord& record : records) {
    const Key key{record.test->op, dtype_name(record.test->dtype), record.target.wave};
    if (!groups.contains(key)) order.push_back(key);
    Group& group = groups[key];
    ++group.cases;
    group.failed += record.failed() ? 1 : 0;
    group.bounded = group.bounded || record.result.bounded;
    // Written so that a share that is NaN counts as worse.
    if (!(record.result.worst_share <= group.worst_share)) {
      group.worst_share = record.result.worst_share;
      group.where = record.test->id;
    }
  }
  Sheet sheet;
  sheet.headings = {"op", "dtype", "wave", "cases", "failed", "worst share of the bound", "at"};
  for (const Key& key : order) {
    const Group& group = groups.at(key);
    const auto& [op, dtype, wave] = key;
    sheet.rows.push_back({op, dtype, std::to_string(wave), std::to_string(group.cases),
                          std::to_string(group.failed), share_text(group.worst_share, group.bounded),
                          group.where});
  }
  return sheet;
}

std::string check_markdown(const CheckOptions& options, const std::vector<CaseRecord>& records) {
  Sheet failures;
  failures.headings = {"failed case", "wave", "message", "repeat"};
  for (const CaseRecord& record : records) {
    if (!record.failed()) continue;
    failures.rows.push_back({record.test->id, std::to_string(record.target.wave), record.result.message,
                             repro_command(record, options)});
  }
  std::string text = markdown(summary_sheet(records));
  if (!failures.rows.empty()) text += "\n" + markdown(failures);
  const auto passed = std::count_if(records.begin(), records.end(),
                                    [](const CaseRecord& record) { return record.result.passed; });
  return text + fmt::format("\n{} passed, {} failed\n", passed, failures.rows.size());
}

}  // namespace hipforge::harness
