#include "harness/report/report_command.h"

#include "harness/output/sheet.h"
#include "harness/system/child_process.h"
#include "harness/system/exit_code.h"
#include "harness/system/file.h"
#include "kernels/runtime/check.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <filesystem>
#include <map>
#include <set>

namespace hipforge::harness {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

// Members of files that anybody may have written: what is not of the wanted kind is as if it were not there.
std::string text_of(const Json& row, const char* name) {
  const auto found = row.find(name);
  return found != row.end() && found->is_string() ? found->get<std::string>() : "";
}

// Copies a text that the row has and says so; an empty one is none.
bool take_text(const Json& row, const char* name, Json& into) {
  const std::string text = text_of(row, name);
  if (!text.empty()) into[name] = text;
  return !text.empty();
}

double number_of(const Json& row, const char* name) {
  const auto found = row.find(name);
  return found != row.end() && found->is_number() ? found->get<double>() : 0.0;
}

const Json& list_of(const Json& row, const char* name) {
  static const Json kNone = Json::array();
  const auto found = row.find(name);
  return found != row.end() && found->is_array() ? *found : kNone;
}

// By name.
std::set<fs::path> entries_of(const fs::path& folder) {
  const fs::directory_iterator entries(folder);
  return {begin(entries), end(entries)};
}

// Enough for any pixel, and a third of the bytes.
double short_number(double value) {
  if (value == 0.0 || !std::isfinite(value)) return 0.0;
  const double scale = std::pow(10.0, 4.0 - std::floor(std::log10(std::fabs(value))));
  return std::isfinite(scale) ? std::round(value * scale) / scale : value;
}

// "" where nothing is wrong with a file of these sources.
std::string stale_reason(const std::string& sources, const std::string& now) {
  if (now.empty() || sources == now) return "";
  if (sources.empty()) return "it does not say which sources made it.";
  return fmt::format("made by sources {}, this tree's are {}.", sources, now);
}

Json case_data(const Json& row) {
  Json out{{"id", text_of(row, "id")}};
  if (take_text(row, "error", out)) return out;
  constexpr const char* kNumbers[][2] = {{"us", "median_us"}, {"low", "low_us"},    {"high", "high_us"},
                                         {"gbps", "gbps"},    {"tflops", "tflops"}, {"bytes", "bytes"},
                                         {"flops", "flops"}};
  for (const auto& [to, from] : kNumbers) out[to] = short_number(number_of(row, from));
  if (take_text(row, "ceiling", out)) out["share"] = short_number(number_of(row, "share"));
  const double floor_share = number_of(row, "floor_share");
  const double floor_tflops = number_of(row, "floor_tflops");
  if (floor_share > 0.0 || floor_tflops > 0.0) {
    out["floor"] = floor_tflops > 0.0 ? fmt::format("{:.0f} TFLOP/s", floor_tflops)
                                      : fmt::format("{:.0f} %", 100.0 * floor_share);
    out["meets_floor"] = row.value("reaches_floor", Json()) == true;
  }
  return out;
}

Json run_data(const Json& wrapper, const Json& result, const fs::path& path, const std::string& now) {
  const std::string commit = text_of(wrapper, "commit");
  const std::string compiler = text_of(wrapper, "compiler");
  Json run{{"commit", commit.size() == 40 ? commit.substr(0, 12) : path.stem().string()},
           {"recorded", text_of(result, "recorded")},
           {"stale", stale_reason(text_of(wrapper, "sources"), now)},
           {"compiler", compiler.empty() ? text_of(result, "compiler") : compiler},
           {"driver", text_of(result, "driver")},
           {"clocks", text_of(wrapper, "clocks")},
           {"cases", Json::array()}};
  for (const Json& row : list_of(result, "cases")) {
    if (row.is_object() && !text_of(row, "id").empty()) run["cases"].push_back(case_data(row));
  }
  return run;
}

Json peers_data(const Json& wrapper, const Json& result, const std::string& now) {
  Json peers{{"stale", stale_reason(text_of(wrapper, "sources"), now)},
             {"libraries", Json::object()},
             {"rows", Json::array()}};
  if (const auto libraries = result.find("libraries"); libraries != result.end() && libraries->is_object()) {
    for (const auto& [name, version] : libraries->items()) {
      if (version.is_null()) continue;
      peers["libraries"][name] = version.is_string() ? version.get<std::string>() : version.dump();
    }
  }
  for (const Json& row : list_of(result, "cases")) {
    if (!row.is_object()) continue;
    Json out{{"id", text_of(row, "id")}, {"peer", text_of(row, "peer")}};
    if (!take_text(row, "skipped", out)) out["us"] = short_number(number_of(row, "median_us"));
    peers["rows"].push_back(std::move(out));
  }
  return peers;
}

// Null for a device whose ceilings were not measured.
Json ceilings_data(const Json& device) {
  Json ceilings = Json::object();
  for (const Json& row : list_of(device, "bandwidths")) {
    if (!row.is_object()) continue;
    const std::string traffic = text_of(row, "traffic");
    const double gbps = short_number(number_of(row, "gbps"));
    if (gbps > number_of(ceilings, traffic.c_str())) ceilings[traffic] = gbps;
  }
  if (!ceilings.contains("copy")) return {};
  ceilings["matrix"] = Json::object();
  for (const Json& row : list_of(device, "matrix_rates")) {
    const double tflops = row.is_object() ? short_number(number_of(row, "tflops")) : 0.0;
    if (tflops > 0.0) ceilings["matrix"][text_of(row, "dtype")] = tflops;
  }
  ceilings["how"] = fmt::format(
      "Ceilings measured on this device, {}: the best of copy, read and write at any size, and the "
      "highest matrix rate of its own kernels and the vendor's library.",
      text_of(device, "architecture"));
  return ceilings;
}

// One folder under results/.
Json device_data(const fs::path& folder, const std::string& now, std::vector<std::string>& notes) {
  Json device{{"folder", folder.filename().string()},
              {"name", ""},
              {"platform", ""},
              {"runs", Json::array()},
              {"ceilings", nullptr},
              {"peers", nullptr}};
  for (const fs::path& path : entries_of(folder)) {
    if (path.extension() != ".json") continue;
    const Json wrapper = Json::parse(read_file(path.string()), nullptr, false);
    const Json result = wrapper.is_object() && wrapper.contains("result") ? wrapper["result"] : wrapper;
    if (!result.is_object()) {
      notes.push_back(fmt::format("{} is no result: left out", path.string()));
      continue;
    }
    const Json devices = list_of(result, "devices");
    if (!devices.empty() && devices.front().is_object()) {
      device["ceilings"] = ceilings_data(devices.front());
      if (device["name"] == "") device["name"] = text_of(devices.front(), "name");
      if (device["platform"] == "") device["platform"] = text_of(devices.front(), "platform");
    } else if (result.contains("libraries")) {
      device["peers"] = peers_data(wrapper, result, now);
    } else if (!text_of(result, "recorded").empty() && result.contains("cases")) {
      device["runs"].push_back(run_data(wrapper, result, path, now));
      device["name"] = text_of(result, "device");
      device["platform"] = text_of(result, "platform");
    } else if (path.filename() == "bench.json") {
      notes.push_back(fmt::format("{} is of an older form without samples: left out", path.string()));
    }
  }
  if (device["name"] == "") device["name"] = device["folder"];
  Json& runs = device["runs"];
  std::stable_sort(runs.begin(), runs.end(), [](const Json& x, const Json& y) {
    return text_of(x, "recorded") < text_of(y, "recorded");
  });
  return device;
}

// Rows are [id, wave, share, passed]: thousands of them, so without names. A share of an element of the wrong
// class is null.
Json check_data(const std::string& path) {
  const Json root = Json::parse(read_file(path), nullptr, false);
  if (!root.is_object() || list_of(root, "results").empty()) {
    throw Error(invalid_argument(path, " is nothing that hipforge check --json wrote, or holds no result"));
  }
  Json check{{"device", text_of(root, "device")},
             {"folder", ""},
             {"rows", Json::array()},
             {"failures", Json::array()}};
  for (const Json& row : list_of(root, "results")) {
    // What a candidate does not support was not checked.
    if (!row.is_object() || row.value("unsupported", Json()) == true) continue;
    const std::string id = text_of(row, "id");
    const bool passed = row.value("passed", Json()) == true;
    const auto share = row.find("worst_share");
    const bool has_share = share != row.end() && share->is_number();
    const auto wave = static_cast<int>(number_of(row, "wave"));
    check["rows"].push_back(Json::array(
        {id, wave, has_share ? Json(short_number(share->get<double>())) : Json(), passed ? 1 : 0}));
    if (passed) continue;
    check["failures"].push_back({{"id", id},
                                 {"wave", wave},
                                 {"message", text_of(row, "message")},
                                 {"repeat", text_of(row, "repeat")}});
  }
  return check;
}

// The hash that stands for a tree's sources in result files (scripts/setup.sh), or empty where `folder` is no
// tree.
std::string tree_sources(const std::string& folder) {
  if (!fs::exists(fs::path(folder) / "scripts" / "setup.sh")) return "";
  const std::string bash = find_tool({"/bin/bash"}, "bash");
  if (bash.empty()) return "";
  std::string hash =
      tool_output({bash, "-c", "cd -- \"$1\" && . scripts/setup.sh && source_hash", "bash", folder});
  hash.erase(hash.find_last_not_of(" \n") + 1);
  return hash;
}

// JSON that means the same and cannot end the element that holds it, open a comment or be taken for markup.
std::string for_script(const Json& data) {
  return replaced(data.dump(-1, ' ', true, Json::error_handler_t::replace),
                  {{'<', "\\u003c"}, {'>', "\\u003e"}, {'&', "\\u0026"}});
}

}  // namespace

Json report_data(const ReportOptions& options) {
  std::vector<std::string> notes;
  const std::string now = tree_sources(options.tree_folder);
  if (now.empty()) {
    notes.push_back(fmt::format("{} is no source tree of hipforge: whether a result is stale is not known",
                                options.tree_folder));
  }
  Json data{{"made", fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(std::time(nullptr)))},
            {"version", options.version},
            {"sources", now},
            {"devices", Json::array()},
            {"checks", Json::array()}};
  if (!fs::is_directory(options.results_folder)) {
    throw Error(failure(StatusCode::kNotFound, options.results_folder, " is no folder of results"));
  }
  std::map<std::string, std::string> folder_of;
  for (const fs::path& folder : entries_of(options.results_folder)) {
    if (!fs::is_directory(folder)) continue;
    Json device = device_data(folder, now, notes);
    if (device["runs"].empty() && device["ceilings"].is_null() && device["peers"].is_null()) continue;
    folder_of[text_of(device, "name")] = text_of(device, "folder");
    data["devices"].push_back(std::move(device));
  }
  for (const std::string& path : options.check_paths) {
    Json check = check_data(path);
    const std::string device = text_of(check, "device");
    check["folder"] = folder_of.contains(device) ? folder_of[device] : device;
    data["checks"].push_back(std::move(check));
  }
  data["notes"] = notes;
  return data;
}

int run_report(const ReportOptions& options) {
  const Json data = report_data(options);
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
