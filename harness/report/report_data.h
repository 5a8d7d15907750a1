#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>
#include <vector>

namespace hipforge::harness {

struct ReportOptions {
  std::string output_path;
  std::string results_folder = "results";  ///< a folder a device, as bench/record.sh writes them
  std::vector<std::string> check_paths;    ///< what `hipforge check --json` wrote
  std::string tree_folder = ".";           ///< the sources that results are stale against
  std::string version;
};

/// What the page of a report draws: {made, version, sources, notes, devices, checks}, of fields with known
/// types only, whatever the files held. harness/report/main.js reads it.
[[nodiscard]] nlohmann::ordered_json report_data(const ReportOptions& options);

/// The hash that stands for a tree's sources in result files (scripts/setup.sh), or empty where `folder` is no
/// tree.
[[nodiscard]] std::string tree_sources(const std::string& folder);

}  // namespace hipforge::harness
