#include "bench/table.h"

#include "harness/bench/record.h"
#include "harness/system/file.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <map>
#include <set>

namespace hipforge::bench {
namespace {

using harness::Record;
using Json = nlohmann::json;

struct Peer {
  std::string name;
  double median_us = 0.0;
};

struct Peers {
  std::map<std::string, Peer> fastest;  // by case
  std::set<std::string> skipped;
  std::string libraries;
};

std::string time_text(double microseconds) {
  return microseconds < 1000.0 ? fmt::format("{:.1f} µs", microseconds)
                               : fmt::format("{:.3f} ms", microseconds * 1e-3);
}

// "op dtype shape, what" of op/dtype/large/shape/what.
std::string title(const Record& record) {
  const std::string what = harness::replaced(record.id.substr(record.id.rfind('/') + 1), {{'_', " "}});
  return fmt::format("{} {} {}, {}", record.op, record.dtype, record.shape, what);
}

std::string floor_text(const Record& record) {
  return record.floor() + (record.has_floor() && !record.reaches_floor() ? " **missed**" : "");
}

Peers read_peers(const TableOptions& options) {
  Json root = Json::parse(harness::read_file(options.peers_path), nullptr, false);
  if (root.is_object() && root.contains("result")) root = Json(root["result"]);
  if (!root.is_object() || !root.contains("cases")) {
    throw Error(invalid_argument(options.peers_path, " holds no peers"));
  }
  Peers peers;
  for (const Json& row : root["cases"]) {
    const std::string id = row["id"];
    const std::string name = row["peer"];
    if (!options.dtype.empty() && id.find("/" + options.dtype + "/") == std::string::npos) continue;
    if (row.contains("skipped")) {
      peers.skipped.insert(fmt::format("{} on {}: {}", name, id, row["skipped"].get<std::string>()));
      continue;
    }
    const double median = row["median_us"];
    const auto [found, is_new] = peers.fastest.emplace(id, Peer{name, median});
    if (!is_new && median < found->second.median_us) found->second = {name, median};
  }
  for (const auto& [name, version] : root["libraries"].items()) {
    if (version.is_null()) continue;
    const std::string number = version.is_string() ? version.get<std::string>() : version.dump();
    peers.libraries += fmt::format("{}{} {}", peers.libraries.empty() ? "" : ", ", name, number);
  }
  return peers;
}

}  // namespace

std::string markdown_table(const TableOptions& options) {
  const harness::Run run = harness::read_run(options.bench_path);
  const Peers peers = options.peers_path.empty() ? Peers{} : read_peers(options);
  std::string text =
      fmt::format("{}, driver {}, runtime {}{}\n\n", run.device.info.name, run.device.driver,
                  run.device.runtime, peers.libraries.empty() ? "" : "; peers: " + peers.libraries);
  text += "| case | time | rate | of the measured ceiling | floor | fastest peer | peer's time / ours |\n";
  text += "|---|---|---|---|---|---|---|\n";
  std::string behind;
  for (const Record& record : run.records) {
    if (record.id.find("/large/") == std::string::npos || !record.kernel.empty()) continue;
    if (!options.dtype.empty() && record.dtype != options.dtype) continue;
    if (record.failed()) {
      text += fmt::format("| {} | no figure: {} | | | {} | | |\n", title(record), record.error,
                          floor_text(record));
      continue;
    }
    const std::string rate = record.ceiling == "matrix" ? fmt::format("{:.0f} TFLOP/s", record.tflops())
                                                        : fmt::format("{:.0f} GB/s", record.gbps());
    const std::string share =
        record.ceiling.empty() ? "" : fmt::format("{:.1f} % of {}", 100.0 * record.share(), record.ceiling);
    std::string peer_text;
    std::string ratio;
    if (const auto found = peers.fastest.find(record.id); found != peers.fastest.end()) {
      const Peer& peer = found->second;
      peer_text = fmt::format("{}, {}", peer.name, time_text(peer.median_us));
      ratio = fmt::format("{:.2f}", peer.median_us / record.us.median);
      if (peer.median_us < record.us.median) {
        behind += fmt::format("- {}: {} takes {} of our time\n", title(record), peer.name, ratio);
      }
    }
    text += fmt::format("| {} | {} | {} | {} | {} | {} | {} |\n", title(record), time_text(record.us.median),
                        rate, share, floor_text(record), peer_text, ratio);
  }
  if (!options.peers_path.empty()) {
    text +=
        behind.empty() ? "\nNo peer is ahead in any of these.\n" : "\nWhere a peer is ahead:\n\n" + behind;
  }
  if (!peers.skipped.empty()) {
    text += "\nPeers that could not run:\n\n";
    for (const std::string& line : peers.skipped) text += "- " + line + "\n";
  }
  return text;
}

}  // namespace hipforge::bench
