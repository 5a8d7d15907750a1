#pragma once

#include <string>

namespace hipforge::bench {

struct TableOptions {
  std::string bench_path;  ///< as `--json` or bench/record.sh wrote it
  std::string peers_path;  ///< peers.json, or empty
  std::string dtype;       ///< only this one; empty: all
};

/// The large cases as a Markdown table: what was reached, the share of the measured ceiling, the floor, and
/// beside it the fastest peer with how much faster we are; below it, the cases where a peer is ahead and the
/// peers that could not run. Throws Error that names a file which is missing or is not what it should be.
[[nodiscard]] std::string markdown_table(const TableOptions& options);

}  // namespace hipforge::bench
