#include "harness/check/accuracy_baseline.h"

#include "harness/core/device_info.h"
#include "harness/core/selection.h"
#include "harness/system/file.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <ctime>
#include <filesystem>
#include <regex>
#include <set>

namespace hipforge::harness {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kNamed = 3;

// As the file holds it: four digits.
double rounded(double share) {
  return std::stod(fmt::format("{:.4g}", share));
}

// The baseline's name of a target.
std::string name_of(const Target& target) {
  return fmt::format("{} wave {}", target.architecture, target.wave);
}

// Takes out the entries of the records' targets that are no cases any more, and returns their ids.
std::vector<std::string> drop_gone(const std::vector<CaseRecord>& records, AccuracyBaseline& baseline) {
  std::set<std::string> known;
  for (const OpSuite& suite : all_suites()) {
    for (const Case& test : suite.cases) known.insert(test.id);
  }
  std::set<std::string> targets;
  for (const CaseRecord& record : records) targets.insert(name_of(record.target));
  std::vector<std::string> gone;
  for (auto& [target, cases] : baseline.targets) {
    if (!targets.contains(target)) continue;
    std::erase_if(cases, [&](const auto& entry) {
      if (known.contains(entry.first)) return false;
      gone.push_back(entry.first);
      return true;
    });
  }
  return gone;
}

}  // namespace

std::string results_folder() {
  const DeviceInfo info = device_info();
  if (info.platform == "cpu") return "results/cpu";
  std::string name = info.name;
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  // "h100" of "NVIDIA H100 80GB HBM3", as bench/record.sh has it.
  std::smatch word;
  const bool found = std::regex_search(name, word, std::regex("\\b[a-z]+[0-9]+[a-z]*\\b"));
  return "results/" + (found ? word.str() : std::regex_replace(name, std::regex("[^a-z0-9]+"), "_"));
}

AccuracyBaseline read_accuracy_baseline(const std::string& path) {
  AccuracyBaseline baseline;
  using Json = nlohmann::json;
  const Json root = Json::parse(read_file(path), nullptr, false);
  const auto need = [&](bool good, const auto& what) {
    if (!good) throw Error(invalid_argument(path, ": ", what));
  };
  need(root.is_object(), "not a baseline: no JSON object");
  const auto member = [&](const char* name, bool (Json::*is)() const, const char* kind) -> const Json& {
    need(root.contains(name), fmt::format("{} is missing", name));
    need((root[name].*is)(), fmt::format("{} is no {}", name, kind));
    return root[name];
  };
  baseline.seed = member("seed", &Json::is_number_unsigned, "count").get<std::uint64_t>();
  const Json& reasons = member("reasons", &Json::is_array, "array");
  for (const Json& reason : reasons) {
    need(reason.is_array() && reason.size() == 2 && reason[0].is_string() && reason[1].is_string(),
         "a reason is no [date, text]");
  }
  for (const auto& [target, cases] : member("targets", &Json::is_object, "object").items()) {
    need(cases.is_object(), fmt::format("{} is no object", target));
    for (const auto& [id, entry] : cases.items()) {
      need(entry.is_array() && entry.size() == 2 && entry[0].is_number() && entry[0].get<double>() >= 0.0 &&
               entry[1].is_number_unsigned() && entry[1].get<std::size_t>() < reasons.size(),
           fmt::format("{} of {} is no [share, number of a reason]", id, target));
      const Json& reason = reasons[entry[1].get<std::size_t>()];
      baseline.targets[target][id] = {entry[0].get<double>(), reason[0].get<std::string>(),
                                      reason[1].get<std::string>()};
    }
  }
  return baseline;
}

void write_accuracy_baseline(const std::string& path, const AccuracyBaseline& baseline) {
  const auto quoted = [](const std::string& text) { return nlohmann::json(text).dump(); };
  std::vector<std::string> reasons;  // which thousands of entries share
  std::vector<std::string> targets;
  for (const auto& [target, cases] : baseline.targets) {
    std::vector<std::string> entries;
    for (const auto& [id, entry] : cases) {
      const std::string reason = fmt::format("\n  [{}, {}]", quoted(entry.date), quoted(entry.reason));
      auto at = std::ranges::find(reasons, reason);
      if (at == reasons.end()) at = reasons.insert(reasons.end(), reason);
      entries.push_back(fmt::format("\n   {}: [{:.4g}, {}]", quoted(id), entry.share, at - reasons.begin()));
    }
    targets.push_back(fmt::format("\n  {}: {{{}\n  }}", quoted(target), fmt::join(entries, ",")));
  }
  write_file(path, fmt::format("{{\n \"seed\": {},\n \"reasons\": [{}\n ],\n \"targets\": {{{}\n }}\n}}\n",
                               baseline.seed, fmt::join(reasons, ","), fmt::join(targets, ",")));
}

std::size_t hold_to_accuracy_baseline(const CheckOptions& options, const std::vector<CaseRecord>& records) {
  const std::string path = options.baseline && !options.baseline->empty()
                               ? *options.baseline
                               : results_folder() + "/accuracy.json";
  const bool exists = fs::exists(path);
  if (!exists && !options.accept) {
    throw Error(failure(StatusCode::kNotFound, "no baseline ", path, ": --accept REASON makes one"));
  }
  AccuracyBaseline baseline = exists ? read_accuracy_baseline(path) : AccuracyBaseline{options.seed, {}};
  if (baseline.seed != options.seed) {
    throw Error(
        invalid_argument(path, ": a baseline of seed ", baseline.seed, ", this run has ", options.seed));
  }
  const std::string today = fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::time(nullptr)));
  std::size_t changed = 0;
  std::size_t compared = 0;
  std::size_t grown = 0;
  std::size_t smaller = 0;         // so much that the baseline has slack
  std::vector<std::string> fresh;  // without an entry
  for (const CaseRecord& record : records) {
    if (!record.result.passed || !record.result.bounded) continue;
    const double share = rounded(record.result.worst_share);
    auto& cases = baseline.targets[name_of(record.target)];
    const auto found = cases.find(record.test->id);
    if (options.accept) {
      if (found != cases.end() && found->second.share == share) continue;
      cases[record.test->id] = {share, today, *options.accept};
      ++changed;
      continue;
    }
    if (found == cases.end()) {
      fresh.push_back(record.test->id);
      continue;
    }
    ++compared;
    const AccuracyEntry& entry = found->second;
    const double limit = kShareGrowth * std::max(entry.share, kShareFloor);
    if (share > limit) {
      ++grown;
      fmt::print(
          "FAIL {} ({}): worst share {:.4g} at {}, was {:.4g} ({}: {}), may grow to {:.4g}\n     repeat: "
          "{}\n",
          record.test->id, name_of(record.target), share, record.result.where, entry.share, entry.date,
          entry.reason, limit, case_command(record.test->id, record.target, options));
    } else if (std::max(entry.share, kShareFloor) > kShareGrowth * std::max(share, kShareFloor)) {
      ++smaller;
    }
  }
  const std::vector<std::string> gone = drop_gone(records, baseline);
  if (options.accept) {
    write_accuracy_baseline(path, baseline);
    fmt::print("accuracy: {} entries of {} rewritten or dropped\n", changed + gone.size(), path);
    return 0;
  }
  fmt::print("accuracy: {} shares compared with {}, {} grew by more than half\n", compared, path, grown);
  if (!fresh.empty()) fmt::print("accuracy: {} are not in it: {}\n", fresh.size(), some_of(fresh, kNamed));
  if (!gone.empty())
    fmt::print("accuracy: {} of it are no cases any more: {}\n", gone.size(), some_of(gone, kNamed));
  if (smaller > 0) fmt::print("accuracy: {} shrank by more than a third\n", smaller);
  if (!fresh.empty() || !gone.empty() || smaller > 0) {
    fmt::print("accuracy: --accept REASON brings it up to date\n");
  }
  return grown;
}

}  // namespace hipforge::harness
