#include "harness/report/report_command.h"

#include "harness/report/report_data.h"
#include "harness/report/report_page.h"
#include "harness/system/exit_code.h"
#include "harness/system/file.h"
#include "kernels/runtime/status.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace hipforge::harness {
namespace {

// JSON that means the same and cannot end the element that holds it, open a comment or be taken for markup.
std::string for_script(const nlohmann::ordered_json& data) {
  const std::string text = data.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace);
  std::string safe;
  safe.reserve(text.size());
  for (char c : text) {
    switch (c) {
      case '<':
        safe += "\\u003c";
        break;
      case '>':
        safe += "\\u003e";
        break;
      case '&':
        safe += "\\u0026";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

}  // namespace

int run_report(const ReportOptions& options) {
  const nlohmann::ordered_json data = report_data(options);
  if (data["devices"].empty() && data["checks"].empty()) {
    throw Error(failure(StatusCode::kNotFound, options.results_folder,
                        " holds no result, and no --check was given: nothing to show"));
  }
  for (const auto& note : data["notes"]) fmt::print(stderr, "hipforge report: {}\n", note.get<std::string>());
  const std::string page = report_page();
  constexpr std::string_view kPlace = "@REPORT_DATA@";
  const std::size_t at = page.find(kPlace);
  std::string text = page.substr(0, at) + for_script(data) + page.substr(at + kPlace.size());
  write_file(options.output_path, text);
  std::size_t runs = 0;
  for (const auto& device : data["devices"]) runs += device["runs"].size();
  std::size_t checks = 0;
  for (const auto& check : data["checks"]) checks += check["rows"].size();
  fmt::print("{}: {} checks, {} recorded runs on {} devices, {} KiB\n", options.output_path, checks, runs,
             data["devices"].size(), text.size() / 1024);
  return kExitGood;
}

}  // namespace hipforge::harness
