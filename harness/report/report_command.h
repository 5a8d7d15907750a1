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

/// The page of a report, of the files in harness/report/, with @REPORT_DATA@ where its data goes.
[[nodiscard]] std::string report_page();

/// `hipforge report`: one page that needs no network and holds everything: failures with their repro lines, a
/// roofline, peers, error shares, history. A result that other sources made is greyed and says so; a file
/// that cannot be used is named on the page and on stderr. Returns an exit code; throws Error for a folder or
/// check file that cannot be read, and where there is nothing to show.
[[nodiscard]] int run_report(const ReportOptions& options);

}  // namespace hipforge::harness
