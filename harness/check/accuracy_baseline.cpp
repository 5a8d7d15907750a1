#include "harness/check/accuracy_baseline.h"

#include "harness/core/device_info.h"
#include "harness/system/file.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <regex>
#include <set>
#include <utility>

namespace hipforge::harness {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kNamed = 3;

// As the file holds it: four digits.
double rounded(double share) {
  return std::stod(fmt::format("{:.4g}", share));
}

bool has_share(const CaseRecord& record) {
  return record.result.passed && record.result.bounded;
}

std::string some_of(const std::vector<std::string>& names) {
  const std::vector<std::string> first(
      names.begin(), names.begin() + static_cast<std::ptrdiff_t>(std::min(names.size(), kNamed)));
  return fmt::format("{}{}", fmt::join(first, ", "), names.size() > first.size() ? ", ..." : "");
}

std::set<std::string> all_ids() {
  std::set<std::string> ids;
  for (const OpSuite& suite : all_suites()) {
    for (const Case& test : suite.cases) ids.insert(test.id);
  }
  return ids;
}

}  // namespace

std::string results_folder() {
  const DeviceInfo info = device_info();
  std::string folder = "cpu";
  if (info.platform != "cpu") {
    std::string name = info.name;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    // "h100" of "NVIDIA H100 80GB HBM3", as bench/record.sh has it.
    std::smatch word;
    folder = std::regex_search(name, word, std::regex("\\b[a-z]+[0-9]+[a-z]*\\b"))
                 ? word.str()
                 : std::regex_replace(name, std::regex("[^a-z0-9]+"), "_");
  }
  return "results/" + folder;
}

AccuracyBaseline read_accuracy_baseline(const std::string& path) {
  AccuracyBaseline baseline;
  if (!fs::exists(path)) return baseline;
  const nlohmann::json root = nlohmann::json::parse(read_file(path), nullptr, false);
  const auto fail = [&](const std::string& what) { throw Error(invalid_argument(path, ": ", what)); };
  if (!root.is_object()) fail("not a baseline: no JSON object");
  const auto member = [&](const char* name) -> const nlohmann::json& {
    const auto found = root.find(name);
    if (found == root.end()) fail(fmt::format("{} is missing", name));
    return *found;
  };
  if (!member("seed").is_number_unsigned()) fail("seed is no count");
  baseline.seed = member("seed").get<std::uint64_t>();
  const nlohmann::json& reasons = member("reasons");
  if (!reasons.is_array()) fail("reasons is no array");
  for (const nlohmann::json& reason : reasons) {
    if (!reason.is_array() || reason.size() != 2 || !reason[0].is_string() || !reason[1].is_string()) {
      fail("a reason is no [date, text]");
    }
  }
  if (!member("targets").is_object()) fail("targets is no object");
  for (const auto& [target, cases] : member("targets").items()) {
    if (!cases.is_object()) fail(fmt::format("{} is no object", target));
    for (const auto& [id, entry] : cases.items()) {
      if (!entry.is_array() || entry.size() != 2 || !entry[0].is_number() || entry[0].get<double>() < 0.0 ||
          !entry[1].is_number_unsigned() || entry[1].get<std::size_t>() >= reasons.size()) {
        fail(fmt::format("{} of {} is no [share, number of a reason]", id, target));
      }
      const nlohmann::json& reason = reasons[entry[1].get<std::size_t>()];
      baseline.targets[target][id] = {entry[0].get<double>(), reason[0].get<std::string>(),
                                      reason[1].get<std::string>()};
    }
  }
  return baseline;
}

void write_accuracy_baseline(const std::string& path, const AccuracyBaseline& baseline) {
  const auto quoted = [](const std::string& text) { return nlohmann::json(text).dump(); };
  // Thousands of entries share a few reasons.
  std::vector<std::pair<std::string, std::string>> reasons;
  std::string targets;
  for (const auto& [target, cases] : baseline.targets) {
    targets += fmt::format("{}  {}: {{", targets.empty() ? "\n" : ",\n", quoted(target));
    const char* comma = "\n";
    for (const auto& [id, entry] : cases) {
      const std::pair reason(entry.date, entry.reason);
      auto at = std::find(reasons.begin(), reasons.end(), reason);
      if (at == reasons.end()) at = reasons.insert(reasons.end(), reason);
      targets += fmt::format("{}   {}: [{:.4g}, {}]", comma, quoted(id), entry.share, at - reasons.begin());
      comma = ",\n";
    }
    targets += "\n  }";
  }
  std::string text = fmt::format("{{\n \"seed\": {},\n \"reasons\": [", baseline.seed);
  const char* comma = "\n";
  for (const auto& [date, reason] : reasons) {
    text += fmt::format("{}  [{}, {}]", comma, quoted(date), quoted(reason));
    comma = ",\n";
  }
  write_file(path, text + fmt::format("\n ],\n \"targets\": {{{}\n }}\n}}\n", targets));
}

std::string accuracy_target(const Target& target) {
  return fmt::format("{} wave {}", target.architecture, target.wave);
}

AccuracyVerdict judge_accuracy(const AccuracyBaseline& baseline, const std::vector<CaseRecord>& records) {
  AccuracyVerdict verdict;
  std::set<std::string> targets;
  for (const CaseRecord& record : records) {
    const std::string target = accuracy_target(record.target);
    targets.insert(target);
    if (!has_share(record)) continue;
    const auto cases = baseline.targets.find(target);
    const AccuracyEntry* entry = nullptr;
    if (cases != baseline.targets.end()) {
      const auto found = cases->second.find(record.test->id);
      if (found != cases->second.end()) entry = &found->second;
    }
    if (entry == nullptr) {
      verdict.fresh.push_back(record.test->id);
      continue;
    }
    ++verdict.compared;
    const double share = rounded(record.result.worst_share);
    if (share > kShareGrowth * std::max(entry->share, kShareFloor)) {
      verdict.grown.push_back(&record);
      verdict.messages.push_back(
          fmt::format("{} ({}): worst share {:.4g} at {}, was {:.4g} ({}: {}), may grow to {:.4g}",
                      record.test->id, target, share, record.result.where, entry->share, entry->date,
                      entry->reason, kShareGrowth * std::max(entry->share, kShareFloor)));
    } else if (std::max(entry->share, kShareFloor) > kShareGrowth * std::max(share, kShareFloor)) {
      ++verdict.smaller;
    }
  }
  const std::set<std::string> known = all_ids();
  for (const std::string& target : targets) {
    const auto cases = baseline.targets.find(target);
    if (cases == baseline.targets.end()) continue;
    for (const auto& [id, entry] : cases->second) {
      if (!known.contains(id)) verdict.gone.push_back(id);
    }
  }
  return verdict;
}

std::size_t accept_accuracy(const std::vector<CaseRecord>& records, const std::string& reason,
                            const std::string& date, AccuracyBaseline& baseline) {
  std::size_t changed = 0;
  std::set<std::string> targets;
  for (const CaseRecord& record : records) {
    targets.insert(accuracy_target(record.target));
    if (!has_share(record)) continue;
    auto& cases = baseline.targets[accuracy_target(record.target)];
    const double share = rounded(record.result.worst_share);
    const auto entry = cases.find(record.test->id);
    if (entry != cases.end() && entry->second.share == share) continue;
    cases[record.test->id] = {share, date, reason};
    ++changed;
  }
  const std::set<std::string> known = all_ids();
  for (const std::string& target : targets) {
    const auto cases = baseline.targets.find(target);
    if (cases == baseline.targets.end()) continue;
    changed += std::erase_if(cases->second, [&](const auto& entry) { return !known.contains(entry.first); });
  }
  return changed;
}

std::size_t hold_to_accuracy_baseline(const CheckOptions& options, const std::vector<CaseRecord>& records) {
  const std::string path = options.baseline && !options.baseline->empty()
                               ? *options.baseline
                               : results_folder() + "/accuracy.json";
  const bool exists = fs::exists(path);
  if (!exists && !options.accept) {
    throw Error(failure(StatusCode::kNotFound, "no baseline ", path, ": --accept REASON makes one"));
  }
  AccuracyBaseline baseline = read_accuracy_baseline(path);
  if (!exists) baseline.seed = options.seed;
  if (baseline.seed != options.seed) {
    throw Error(
        invalid_argument(path, ": a baseline of seed ", baseline.seed, ", this run has ", options.seed));
  }
  if (options.accept) {
    const std::size_t changed = accept_accuracy(
        records, *options.accept, fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr))), baseline);
    write_accuracy_baseline(path, baseline);
    fmt::print("accuracy: {} entries of {} rewritten or dropped\n", changed, path);
    return 0;
  }
  const AccuracyVerdict verdict = judge_accuracy(baseline, records);
  for (std::size_t i = 0; i < verdict.grown.size(); ++i) {
    fmt::print("FAIL {}\n     repeat: {}\n", verdict.messages[i], repro_command(*verdict.grown[i], options));
  }
  fmt::print("accuracy: {} shares compared with {}, {} grew by more than half\n", verdict.compared, path,
             verdict.grown.size());
  if (!verdict.fresh.empty()) {
    fmt::print("accuracy: {} are not in it: {}\n", verdict.fresh.size(), some_of(verdict.fresh));
  }
  if (!verdict.gone.empty()) {
    fmt::print("accuracy: {} of it are no cases any more: {}\n", verdict.gone.size(), some_of(verdict.gone));
  }
  if (verdict.smaller > 0) fmt::print("accuracy: {} shrank by more than a third\n", verdict.smaller);
  if (!verdict.fresh.empty() || !verdict.gone.empty() || verdict.smaller > 0) {
    fmt::print("accuracy: --accept REASON brings it up to date\n");
  }
  return verdict.grown.size();
}

}  // namespace hipforge::harness
