#pragma once

#include <string>

namespace hipforge::harness {

/// The page of a report, of the files in harness/report/, with @REPORT_DATA@ where its data goes.
[[nodiscard]] std::string report_page();

}  // namespace hipforge::harness
