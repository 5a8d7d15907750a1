#pragma once

#include "harness/report/report_data.h"

namespace hipforge::harness {

/// `hipforge report`: one page that needs no network and holds everything: failures with their repro lines, a
/// roofline, peers, error shares, history. A result that other sources made is greyed and says so; a file
/// that cannot be used is named on the page and on stderr. Returns an exit code; throws Error for a folder or
/// check file that cannot be read, and where there is nothing to show.
[[nodiscard]] int run_report(const ReportOptions& options);

}  // namespace hipforge::harness
