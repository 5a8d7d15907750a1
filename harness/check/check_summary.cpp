#include "harness/check/check_summary.h"

#include "harness/core/device_info.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>
#include <utility>

namespace hipforge::harness {
namespace {

std::string share_or_exact(double share, bool bounded, int digits) {
  return !bounded && share == 0.0 ? "exact" : share_text(share, digits);
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
              {{"id", test.id},
               {"op", test.op},
               {"dtype", dtype_name(test.dtype)},
               {"layout", test.layout},
               {"features", test.features},
               {"target", record.target.architecture},
               {"wave", record.target.wave},
               {"passed", result.passed},
               {"worst_share", result.worst_share},
               {"where", result.where},
               {"seconds", record.seconds}}};
  if (result.unsupported) {
    entry.verdict = Entry::Verdict::kSkipped;
    entry.fields.emplace_back("unsupported", true);
  } else if (record.failed()) {
    entry.verdict = Entry::Verdict::kFailed;
    entry.repeat = case_command(record.test->id, record.target, options);
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
  using Key = std::tuple<std::string, DType, int>;
  std::vector<std::pair<Key, Group>> groups;
  for (const CaseRecord& record : records) {
    Group& group = group_of(groups, Key{record.test->op, record.test->dtype, record.target.wave});
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
  for (const auto& [key, group] : groups) {
    const auto& [op, dtype, wave] = key;
    sheet.rows.push_back(
        {op, dtype_name(dtype), std::to_string(wave), std::to_string(group.cases),
         std::to_string(group.failed),
         group.unsupported == group.cases ? "none ran" : share_or_exact(group.worst_share, group.bounded, 3),
         fmt::format("{:.1f}", group.seconds), group.bounded || group.failed > 0 ? group.where : ""});
  }
  return sheet;
}

std::vector<std::string> details_of(const CaseRecord& record, const Entry& entry) {
  const CaseResult& result = record.result;
  return {record.test->id,
          record.test->op,
          dtype_name(record.test->dtype),
          record.test->layout,
          std::to_string(record.target.wave),
          record.target.architecture,
          result.passed        ? "yes"
          : result.unsupported ? "not supported"
                               : "no",
          share_or_exact(result.worst_share, result.bounded, 4),
          result.where,
          fmt::format("{:.4f}", record.seconds),
          result.message,
          entry.repeat};
}

}  // namespace

std::string case_command(const std::string& id, const Target& target, const CheckOptions& options) {
  std::string flags;
  if (!options.target.empty()) flags += " --target " + options.target;
  if (!options.candidate_path.empty()) {
    flags += fmt::format(" --candidate '{}' --op {}", options.candidate_path, options.ops.front());
  }
  if (options.isolate) flags += " --isolate";
  const std::string race = options.race ? fmt::format(" --race --schedules {}", options.schedules) : "";
  return fmt::format("{}{} check{} --case '{}' --seed {} --wave {}{}", repro_environment(target.wave),
                     options.program, race, id, options.seed, target.wave, flags);
}

Summary check_summary(const CheckOptions& options, const std::vector<CaseRecord>& records, double seconds) {
  const DeviceInfo info = device_info();
  Summary summary;
  summary.head = {{"platform", info.platform},
                  {"device", info.name},
                  {"compiler", info.compiler},
                  {"seed", options.seed},
                  {"seconds", seconds}};
  summary.groups = group_sheet(records);
  summary.details.headings = {"case",   "op",    "dtype", "layout",  "wave",    "target",
                              "passed", "share", "where", "seconds", "message", "repeat"};
  for (const CaseRecord& record : records) {
    const Entry& entry = summary.entries.emplace_back(entry_of(options, record));
    summary.details.rows.push_back(details_of(record, entry));
  }
  summary.skipped = "not supported";
  summary.seconds = seconds;
  return summary;
}

std::vector<std::string> loose_bounds(const std::vector<CaseRecord>& records) {
  using Key = std::tuple<std::string, DType, int, std::string>;
  std::vector<std::pair<Key, OutputShare>> shares;
  for (const CaseRecord& record : records) {
    if (record.test->metamorphic) continue;  // of two bounds together
    for (const OutputShare& output : record.result.outputs) {
      OutputShare& all =
          group_of(shares, Key{record.test->op, record.test->dtype, record.target.wave, output.output});
      all.bounded = all.bounded || output.bounded;
      all.worst_share = std::max(all.worst_share, output.worst_share);
    }
  }
  std::vector<std::string> messages;
  for (const auto& [key, share] : shares) {
    if (!share.bounded || share.worst_share >= kLooseShare) continue;
    const auto& [op, dtype, wave, output] = key;
    messages.push_back(fmt::format(
        "{} {} wave {}{}{}: no case comes near the bound (worst share {:.4f}, needs {}): it is too loose", op,
        dtype_name(dtype), wave, output.empty() ? "" : ", output ", output, share.worst_share, kLooseShare));
  }
  return messages;
}

}  // namespace hipforge::harness
