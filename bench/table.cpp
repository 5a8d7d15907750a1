#include "bench/table.h"

#include "kernels/runtime/check.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fstream>
#include <map>
#include <set>

namespace hipforge::bench {
namespace {

using Json = nlohmann::json;

// The body of a result file, whether record.sh wrapped it or not.
Json read_result(const std::string& path) {
  std::ifstream file(path);
  Json root = Json::parse(file, nullptr, false);
  if (root.is_object() && root.contains("result")) root = root["result"];
  if (!root.is_object() || !root.contains("cases")) {
    throw Error(failure(StatusCode::kNotFound, path, " is missing or holds no cases"));
  }
  return root;
}

struct Peer {
  std::string name;
  double median_us = 0.0;
};

std::string time_text(double microseconds) {
  return microseconds < 1000.0 ? fmt::format("{:.1f} µs", microseconds)
                               : fmt::format("{:.3f} ms", microseconds * 1e-3);
}

// "op dtype shape, what" of op/dtype/large/shape/what.
std::string title(const Json& row) {
  const std::string id = row["id"];
  std::string what = id.substr(id.rfind('/') + 1);
  for (char& c : what) c = c == '_' ? ' ' : c;
  return fmt::format("{} {} {}, {}", row["op"].get<std::string>(), row["dtype"].get<std::string>(),
                     row["shape"].get<std::string>(), what);
}

std::string floor_text(const Json& row) {
  std::string text;
  if (row.contains("floor_share")) text = fmt::format("{:.0f} %", 100.0 * row["floor_share"].get<double>());
  if (row.contains("floor_tflops")) text = fmt::format("{:.0f} TFLOP/s", row["floor_tflops"].get<double>());
  if (!text.empty() && !row.value("reaches_floor", false)) text += " **missed**";
  return text;
}

}  // namespace

std::string markdown_table(const TableOptions& options) {
  const Json bench = read_result(options.bench_path);
  std::map<std::string, Peer> fastest;
  std::set<std::string> skipped;
  std::string libraries;
  if (!options.peers_path.empty()) {
    const Json peers = read_result(options.peers_path);
    for (const Json& row : peers["cases"]) {
      const std::string id = row["id"];
      const std::string name = row["peer"];
      if (!options.dtype.empty() && id.find("/" + options.dtype + "/") == std::string::npos) continue;
      if (row.contains("skipped")) {
        skipped.insert(fmt::format("{} on {}: {}", name, id, row["skipped"].get<std::string>()));
        continue;
      }
      const double median = row["median_us"];
      if (!fastest.contains(id) || median < fastest[id].median_us) fastest[id] = {name, median};
    }
    for (const auto& [name, version] : peers["libraries"].items()) {
      if (version.is_null()) continue;
      const std::string number = version.is_string() ? version.get<std::string>() : version.dump();
      libraries += fmt::format("{}{} {}", libraries.empty() ? "" : ", ", name, number);
    }
  }
  std::string text =
      fmt::format("{}, driver {}, runtime {}{}\n\n", bench.value("device", "?"), bench.value("driver", "?"),
                  bench.value("runtime", "?"), libraries.empty() ? "" : "; peers: " + libraries);
  text += "| case | time | rate | of the measured ceiling | floor | fastest peer | peer's time / ours |\n";
  text += "|---|---|---|---|---|---|---|\n";
  std::string behind;
  for (const Json& row : bench["cases"]) {
    const std::string id = row["id"];
    if (id.find("/large/") == std::string::npos) continue;
    if (!options.dtype.empty() && row["dtype"] != options.dtype) continue;
    if (row.contains("error")) {
      text += fmt::format("| {} | no figure: {} | | | {} | | |\n", title(row),
                          row["error"].get<std::string>(), floor_text(row));
      continue;
    }
    const double median = row["median_us"];
    const std::string ceiling = row.value("ceiling", "");
    const std::string rate = ceiling == "matrix" ? fmt::format("{:.0f} TFLOP/s", row["tflops"].get<double>())
                                                 : fmt::format("{:.0f} GB/s", row["gbps"].get<double>());
    const std::string share =
        ceiling.empty() ? "" : fmt::format("{:.1f} % of {}", 100.0 * row["share"].get<double>(), ceiling);
    std::string peer_name;
    std::string ratio;
    if (const auto peer = fastest.find(id); peer != fastest.end()) {
      peer_name = fmt::format("{}, {}", peer->second.name, time_text(peer->second.median_us));
      ratio = fmt::format("{:.2f}", peer->second.median_us / median);
      if (peer->second.median_us < median) {
        behind += fmt::format("- {}: {} takes {:.2f} of our time\n", title(row), peer->second.name,
                              peer->second.median_us / median);
      }
    }
    text += fmt::format("| {} | {} | {} | {} | {} | {} | {} |\n", title(row), time_text(median), rate, share,
                        floor_text(row), peer_name, ratio);
  }
  if (!options.peers_path.empty()) {
    text +=
        behind.empty() ? "\nNo peer is ahead in any of these.\n" : "\nWhere a peer is ahead:\n\n" + behind;
  }
  if (!skipped.empty()) {
    text += "\nPeers that could not run:\n\n";
    for (const std::string& line : skipped) text += "- " + line + "\n";
  }
  return text;
}

}  // namespace hipforge::bench
