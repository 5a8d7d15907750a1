#include "harness/bench/compare_command.h"

#include "harness/bench/statistics.h"
#include "harness/system/exit_code.h"
#include "harness/output/sheet.h"
#include "harness/system/file.h"
#include "harness/system/number.h"
#include "harness/system/result_file.h"
#include "kernels/runtime/check.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>

namespace hipforge::harness {
namespace {

struct Row {
  const TimedCase* before = nullptr;
  const TimedCase* after = nullptr;
  Judgement judgement;
  [[nodiscard]] bool lost() const { return !after->error.empty(); }
  [[nodiscard]] bool regression() const { return lost() || judgement.regression; }
};

std::vector<double> block_values(const TimedRun& run, const TimedCase& test) {
  std::vector<double> values;
  for (const std::vector<double>& block : test.blocks_us) values.push_back(block_value(run.platform, block));
  return values;
}

void require_comparable(const TimedRun& before, const TimedRun& after) {
  if (before.platform == after.platform && before.device == after.device) return;
  throw Error(invalid_argument(before.path, " is of ", before.device, " (", before.platform, "), ",
                               after.path, " of ", after.device, " (", after.platform,
                               "): no two devices are compared"));
}

// Cases of both files that had a figure before, unjudged.
std::vector<Row> common_rows(const TimedRun& before, const TimedRun& after) {
  std::map<std::string, const TimedCase*> by_id;
  for (const TimedCase& test : after.cases) by_id[test.id] = &test;
  std::vector<Row> rows;
  for (const TimedCase& test : before.cases) {
    const auto found = by_id.find(test.id);
    if (found != by_id.end() && test.error.empty()) rows.push_back({&test, found->second, {}});
  }
  return rows;
}

void judge_rows(const TimedRun& before, const TimedRun& after, double max_regression,
                std::vector<Row>& rows) {
  std::vector<BlockPair> pairs;
  std::vector<Row*> judged;
  for (Row& row : rows) {
    if (row.lost()) continue;
    pairs.push_back({block_values(before, *row.before), block_values(after, *row.after)});
    judged.push_back(&row);
  }
  const std::size_t needed = blocks_needed(pairs.size(), kFalseAlarms);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    for (const auto& [run, blocks] :
         {std::pair{&before, pairs[i].before.size()}, {&after, pairs[i].after.size()}}) {
      if (blocks >= needed) continue;
      throw Error(invalid_argument(run->path, ": ", blocks, " blocks of ", judged[i]->before->id,
                                   " show nothing among ", pairs.size(), " cases, needs ", needed,
                                   " (hipforge_bench --blocks)"));
    }
  }
  const std::vector<Judgement> judgements = judge(pairs, max_regression);
  for (std::size_t i = 0; i < judged.size(); ++i) judged[i]->judgement = judgements[i];
}

double median_of(const TimedRun& run, const TimedCase& test) {
  std::vector<double> values = block_values(run, test);
  std::sort(values.begin(), values.end());
  return 0.5 * (values[(values.size() - 1) / 2] + values[values.size() / 2]);
}

Sheet sheet_of(const TimedRun& before, const TimedRun& after, const std::vector<Row>& rows) {
  Sheet sheet;
  sheet.headings = {"case", "before us", "after us", "ratio", "interval", "p", "verdict"};
  for (const Row& row : rows) {
    const std::string before_us = fmt::format("{:.2f}", median_of(before, *row.before));
    if (row.lost()) {
      sheet.rows.push_back({row.before->id, before_us, "", "", "", "", "NO FIGURE: " + row.after->error});
      continue;
    }
    const Judgement& judged = row.judgement;
    sheet.rows.push_back(
        {row.before->id, before_us, fmt::format("{:.2f}", median_of(after, *row.after)),
         fmt::format("{:.3f}", judged.interval.ratio),
         fmt::format("{:.3f} to {:.3f}", judged.interval.low, judged.interval.high),
         judged.p < 1e-4 ? "<0.0001" : fmt::format("{:.4f}", judged.p),
         fmt::format("{}{}", change_name(judged.change), judged.regression ? ", REGRESSION" : "")});
  }
  return sheet;
}

std::string json_text(const TimedRun& before, const TimedRun& after, const std::vector<Row>& rows,
                      double max_regression) {
  nlohmann::ordered_json root;
  root["before"] = before.path;
  root["after"] = after.path;
  root["platform"] = before.platform;
  root["device"] = before.device;
  root["max_regression"] = max_regression;
  root["false_alarms"] = kFalseAlarms;
  root["cases"] = nlohmann::ordered_json::array();
  for (const Row& row : rows) {
    nlohmann::ordered_json out;
    out["id"] = row.before->id;
    out["before_us"] = median_of(before, *row.before);
    if (row.lost()) {
      out["error"] = row.after->error;
    } else {
      out["after_us"] = median_of(after, *row.after);
      out["ratio"] = row.judgement.interval.ratio;
      out["low"] = row.judgement.interval.low;
      out["high"] = row.judgement.interval.high;
      out["p"] = row.judgement.p;
      out["verdict"] = change_name(row.judgement.change);
    }
    out["regression"] = row.regression();
    root["cases"].push_back(std::move(out));
  }
  return root.dump(1) + "\n";
}

void print_differences(const TimedRun& before, const TimedRun& after) {
  const auto print = [](const char* what, const std::string& a, const std::string& b) {
    if (a != b) fmt::print("note: {} differs: {} before, {} after\n", what, a, b);
  };
  print("compiler", before.compiler, after.compiler);
  print("driver", before.driver, after.driver);
}

}  // namespace

bool parse_percent(const std::string& text, double& fraction) {
  const std::string_view number(text.data(), text.size() - (text.ends_with('%') ? 1 : 0));
  const auto percent = parse_number<double>(number, {0.0, 1000.0});
  if (percent) fraction = *percent * 0.01;
  return percent.has_value();
}

int run_compare(const CompareOptions& options) {
  const TimedRun before = read_timed_run(options.before_path);
  const TimedRun after = read_timed_run(options.after_path);
  require_comparable(before, after);
  const double max_regression = options.max_regression >= 0.0 ? options.max_regression
                                : before.platform == "cpu"    ? kMaxCpuRegression
                                                              : kMaxRegression;
  std::vector<Row> rows = common_rows(before, after);
  if (rows.empty()) {
    fmt::print(stderr, "hipforge compare: no case of {} is in {}\n", after.path, before.path);
    return kExitUsage;
  }
  judge_rows(before, after, max_regression, rows);

  print_differences(before, after);
  const Sheet sheet = sheet_of(before, after, rows);
  fmt::print("{}", aligned(sheet));
  if (!options.json_path.empty()) {
    write_file(options.json_path, json_text(before, after, rows, max_regression));
  }
  if (!options.csv_path.empty()) write_file(options.csv_path, csv(sheet));
  if (!options.markdown_path.empty()) write_file(options.markdown_path, markdown(sheet));

  const auto count = [&](auto&& of) { return std::count_if(rows.begin(), rows.end(), of); };
  const auto changed = [&](Change change) {
    return count([=](const Row& row) { return !row.lost() && row.judgement.change == change; });
  };
  // An interval that reaches past what is allowed may hide a change of that size.
  const auto unsure = count([&](const Row& row) {
    return !row.lost() && !row.judgement.regression && row.judgement.interval.high > 1.0 + max_regression;
  });
  const std::size_t left_out = before.cases.size() + after.cases.size() - 2 * rows.size();
  const auto regressions = count([](const Row& row) { return row.regression(); });
  fmt::print("{} cases: {} same, {} faster, {} slower, {} without a figure\n", rows.size(),
             changed(Change::kSame), changed(Change::kFaster), changed(Change::kSlower),
             count([](const Row& row) { return row.lost(); }));
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
