#pragma once

#include "harness/report/report_command.h"

#include <nlohmann/json.hpp>

namespace hipforge::harness {

/// What the page of a report draws: {made, version, sources, notes, devices, checks}, of fields with known
/// types only, whatever the files held. harness/report/main.js reads it.
[[nodiscard]] nlohmann::ordered_json report_data(const ReportOptions& options);

/// The hash that stands for a tree's sources in result files (scripts/setup.sh), or empty where `folder` is no
/// tree.
[[nodiscard]] std::string tree_sources(const std::string& folder);

}  // namespace hipforge::harness
