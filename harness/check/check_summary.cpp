#include "harness/check/check_summary.h"

#include "harness/core/device_info.h"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <tuple>

namespace hipforge::harness {
namespace {

std::string share_text(double share, bool bounded, int digits) {
  if (!std::isfinite(share)) return "wrong";
  return !bounded && share == 0.0 ? "exact" : fmt::format("{:.{}f}", share, digits);
}

Entry entry_of(const CheckOptions& options, const CaseRecord& record) {
  const Case& test = *record.test;
  const CaseResult& result = record.result;
  Entry entry{fmt::format("{} wave {}", test.id, record.target.wave),
              test.op,
              Entry::Verdict::kPassed,
              record.seconds,
              result.message,
              {},
              {}};
  entry.fields = {{"id", test.id},
                  {"op", test.op},
                  {"dtype", dtype_name(test.dtype)},
                  {"layout", test.layout},
                  {"features", test.features},
                  {"target", record.target.architecture},
                  {"wave", record.target.wave},
                  {"passed", result.passed},
                  {"worst_share", result.worst_share},
                  {"where", result.where},
                  {"seconds", record.seconds}};
  if (result.unsupported) {
    entry.verdict = Entry::Verdict::kSkipped;
    entry.fields.emplace_back("unsupported", true);
  } else if (record.failed()) {
    entry.verdict = Entry::Verdict::kFailed;
    entry.repeat = repro_command(record, options);
    entry.fields.emplace_back("message", result.message);
    entry.fields.emplace_back("failure", failure_name(result.failure));
    entry.fields.emplace_back("repeat", entry.repeat);
    if (!record.shrunk_id.empty()) {
      entry.fields.emplace_back(
          "shrunk", JsonFields{{"id", record.shrunk_id},
                               {"message", record.shrunk_message},
                               {"repeat", case_command(record.shrunk_id, record.target, options)}});
    }
  }
  return entry;
}

Sheet group_sheet(const std::vector<CaseRecord>& records) {
  struct Group {
    std::size_t cases = 0, failed = 0, unsupported = 0;
    bool bounded = false;
    double worst_share = 0.0, seconds = 0.0;
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
    group.unsupported += record.result.unsupported ? 1 : 0;
    group.bounded = group.bounded || record.result.bounded;
    group.seconds += record.seconds;
    // Written so that a share that is NaN counts as the worst.
    if (!std::isnan(group.worst_share) && !(record.result.worst_share < group.worst_share)) {
      group.worst_share = record.result.worst_share;
      group.where = record.test->id + (record.result.where.empty() ? "" : " " + record.result.where);
    }
  }
  Sheet sheet{{"op", "dtype", "wave", "cases", "failed", "share", "s", "worst at"}, {}};
  for (const Key& key : order) {
    const Group& group = groups.at(key);
    const auto& [op, dtype, wave] = key;
    sheet.rows.push_back(
        {op, dtype, std::to_string(wave), std::to_string(group.cases), std::to_string(group.failed),
         group.unsupported == group.cases ? "none ran" : share_text(group.worst_share, group.bounded, 3),
         fmt::format("{:.1f}", group.seconds), group.bounded || group.failed > 0 ? group.where : ""});
  }
  return sheet;
}

Sheet result_sheet(const std::vector<CaseRecord>& records, const std::vector<Entry>& entries) {
  Sheet sheet{{"case", "op", "dtype", "layout", "wave", "target", "passed", "share", "where", "seconds",
               "message", "repeat"},
              {}};
  for (std::size_t i = 0; i < records.size(); ++i) {
    const CaseRecord& record = records[i];
    const CaseResult& result = record.result;
    sheet.rows.push_back({record.test->id, record.test->op, dtype_name(record.test->dtype),
                          record.test->layout, std::to_string(record.target.wave), record.target.architecture,
                          result.passed        ? "yes"
                          : result.unsupported ? "not supported"
                                               : "no",
                          share_text(result.worst_share, result.bounded, 4), result.where,
                          fmt::format("{:.4f}", record.seconds), result.message, entries[i].repeat});
  }
  return sheet;
}

}  // namespace

Summary check_summary(const CheckOptions& options, const std::vector<CaseRecord>& records, double seconds) {
  const DeviceInfo info = device_info();
  Summary summary;
  summary.head = {{"platform", info.platform},
                  {"device", info.name},
                  {"compiler", info.compiler},
                  {"seed", options.seed},
                  {"seconds", seconds}};
  for (const CaseRecord& record : records) summary.entries.push_back(entry_of(options, record));
  summary.groups = group_sheet(records);
  summary.details = result_sheet(records, summary.entries);
  summary.skipped = "not supported";
  summary.seconds = seconds;
  return summary;
}

}  // namespace hipforge::harness
