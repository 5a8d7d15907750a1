#include "harness/bench/compare_command.h"

#include "harness/output/summary.h"
#include "harness/system/exit_code.h"
#include "harness/system/file.h"
#include "harness/system/number.h"
#include "kernels/runtime/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace hipforge::harness {
namespace {

void require_comparable(const Run& before, const Run& after) {
  const DeviceInfo& a = before.device.info;
  const DeviceInfo& b = after.device.info;
  if (a.platform == b.platform && a.name == b.name) return;
  throw Error(invalid_argument(before.path, " is of ", a.name, " (", a.platform, "), ", after.path, " of ",
                               b.name, " (", b.platform, "): no two devices are compared"));
}

// Cases of both files that had a figure before, unjudged. Of one that is there twice the last counts.
std::vector<ComparedCase> common_cases(const Run& before, const Run& after) {
  std::map<std::string, const Record*> by_name;
  for (const Record& record : after.records) by_name[record.name()] = &record;
  std::vector<ComparedCase> cases;
  for (const Record& record : before.records) {
    const auto found = by_name.find(record.name());
    if (found != by_name.end() && record.timed()) cases.push_back({&record, found->second, {}});
  }
  return cases;
}

void require_blocks(const Run& before, const Run& after, const std::vector<ComparedCase>& cases) {
  const std::size_t judged =
      cases.size() - static_cast<std::size_t>(std::ranges::count_if(cases, &ComparedCase::lost));
  const std::size_t needed = blocks_needed(judged, kFalseAlarms);
  for (const ComparedCase& row : cases) {
    for (const auto& [run, record] : {std::pair{&before, row.before}, {&after, row.after}}) {
      if (row.lost() || record->blocks_us.size() >= needed) continue;
      throw Error(invalid_argument(run->path, ": ", record->blocks_us.size(), " blocks of ", record->name(),
                                   " show nothing among ", judged, " cases, needs ", needed,
                                   " (hipforge_bench --blocks)"));
    }
  }
}

double median_of(const std::string& platform, const Record& record) {
  return percentile(block_values(platform, record), 0.5);
}

std::string verdicts_json(const Run& before, const Run& after, const std::vector<ComparedCase>& cases,
                          double max_regression) {
  const std::string& platform = before.device.info.platform;
  std::vector<JsonFields> rows;
  for (const ComparedCase& row : cases) {
    JsonFields& out = rows.emplace_back(
        JsonFields{{"id", row.before->name()}, {"before_us", median_of(platform, *row.before)}});
    if (row.lost()) {
      out.emplace_back("error", row.after->error);
    } else {
      out.emplace_back("after_us", median_of(platform, *row.after));
      for_each_field(row.judgement, [&](const char* name, auto value) { out.emplace_back(name, value); });
    }
    out.emplace_back("regression", row.regression());
  }
  return json_text({{"before", before.path},
                    {"after", after.path},
                    {"platform", platform},
                    {"device", before.device.info.name},
                    {"max_regression", max_regression},
                    {"false_alarms", kFalseAlarms},
                    {"cases", std::move(rows)}});
}

void print_difference(const char* what, const std::string& before, const std::string& after) {
  if (before != after) fmt::print("note: {} differs: {} before, {} after\n", what, before, after);
}

}  // namespace

void judge_cases(const std::string& platform, double max_regression, std::vector<ComparedCase>& cases) {
  std::vector<BlockPair> pairs;
  std::vector<ComparedCase*> judged;
  for (ComparedCase& row : cases) {
    if (row.lost()) continue;
    pairs.push_back({block_values(platform, *row.before), block_values(platform, *row.after)});
    judged.push_back(&row);
  }
  const std::vector<Judgement> judgements = judge(pairs, max_regression);
  for (std::size_t i = 0; i < judged.size(); ++i) judged[i]->judgement = judgements[i];
}

Sheet comparison_sheet(const std::string& platform, const std::vector<ComparedCase>& cases,
                       const std::string& before, const std::string& after) {
  const auto time_text = [&](const Record& record) {
    return record.blocks_us.empty() ? "" : fmt::format("{:.2f}", median_of(platform, record));
  };
  Sheet sheet;
  sheet.headings = {"case", before + " us", after + " us", "ratio", "interval", "p", "verdict"};
  for (const ComparedCase& row : cases) {
    const Judgement& judged = row.judgement;
    std::vector<std::string> cells{row.before->name(), time_text(*row.before)};
    if (row.lost()) {
      cells.resize(6);
      cells.push_back(row.after->unsupported ? "not supported"
                      : row.after->failed()  ? "NO FIGURE: " + row.after->error
                                             : fmt::format("NO FIGURE: {}: {}", before, row.before->error));
    } else {
      cells.insert(cells.end(), {time_text(*row.after), fmt::format("{:.3f}", judged.interval.ratio),
                                 fmt::format("{:.3f} to {:.3f}", judged.interval.low, judged.interval.high),
                                 judged.p < 1e-4 ? "<0.0001" : fmt::format("{:.4f}", judged.p),
                                 fmt::format("{}{}", change_name(judged.change),
                                             judged.regression ? ", REGRESSION" : "")});
    }
    sheet.rows.push_back(std::move(cells));
  }
  return sheet;
}

std::string changes_text(const std::vector<ComparedCase>& cases) {
  const auto changed = [&](Change change) {
    return std::ranges::count_if(
        cases, [=](const auto& row) { return !row.lost() && row.judgement.change == change; });
  };
  const auto unsupported =
      std::ranges::count_if(cases, [](const auto& row) { return row.after->unsupported; });
  const auto lost = std::ranges::count_if(cases, &ComparedCase::lost);
  return fmt::format("{} cases: {} same, {} faster, {} slower, {} without a figure{}", cases.size(),
                     changed(Change::kSame), changed(Change::kFaster), changed(Change::kSlower),
                     lost - unsupported,
                     unsupported == 0 ? "" : fmt::format(", {} not supported", unsupported));
}

bool parse_percent(const std::string& text, double& fraction) {
  const std::string_view number(text.data(), text.size() - (text.ends_with('%') ? 1 : 0));
  const auto percent = parse_number<double>(number, {0.0, 1000.0});
  if (percent) fraction = *percent * 0.01;
  return percent.has_value();
}

int run_compare(const CompareOptions& options) {
  const Run before = read_run(options.before_path);
  const Run after = read_run(options.after_path);
  require_comparable(before, after);
  const std::string& platform = before.device.info.platform;
  const double max_regression = options.max_regression >= 0.0 ? options.max_regression
                                : platform == "cpu"           ? kMaxCpuRegression
                                                              : kMaxRegression;
  std::vector<ComparedCase> cases = common_cases(before, after);
  if (cases.empty()) {
    throw UsageError(fmt::format("no case of {} is in {}", after.path, before.path));
  }
  require_blocks(before, after, cases);
  judge_cases(platform, max_regression, cases);

  print_difference("compiler", before.device.info.compiler, after.device.info.compiler);
  print_difference("driver", before.device.driver, after.device.driver);
  const Sheet sheet = comparison_sheet(platform, cases, "before", "after");
  fmt::print("{}", aligned(sheet));
  if (!options.json_path.empty()) {
    write_file(options.json_path, verdicts_json(before, after, cases, max_regression));
  }
  if (!options.csv_path.empty()) write_file(options.csv_path, csv(sheet));
  if (!options.markdown_path.empty()) write_file(options.markdown_path, markdown(sheet));

  // An interval that reaches past what is allowed may hide a change of that size.
  const auto unsure = std::ranges::count_if(cases, [&](const ComparedCase& row) {
    return !row.regression() && row.judgement.interval.high > 1.0 + max_regression;
  });
  const std::size_t left_out = before.records.size() + after.records.size() - 2 * cases.size();
  const auto regressions = std::ranges::count_if(cases, &ComparedCase::regression);
  fmt::print("{}\n", changes_text(cases));
  if (left_out > 0) fmt::print("{} cases are in one file alone, or had no figure before\n", left_out);
  if (unsure > 0) {
    fmt::print(
        "{} are not known to be within {:.3g} %: their interval reaches beyond it (more blocks narrow it)\n",
        unsure, 100.0 * max_regression);
  }
  fmt::print("{} regressions beyond {:.3g} %\n", regressions, 100.0 * max_regression);
  return regressions == 0 ? kExitGood : kExitFailed;
}

}  // namespace hipforge::harness
