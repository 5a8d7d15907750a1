#pragma once

#include "harness/check/case_record.h"
#include "harness/check/sheet.h"

#include <string>
#include <vector>

namespace hipforge::harness {

/// A row for every result, its command to repeat it where it failed.
[[nodiscard]] Sheet result_sheet(const CheckOptions& options, const std::vector<CaseRecord>& records);

/// A row for every op, dtype and wave: cases, failures, the worst share and where.
[[nodiscard]] Sheet summary_sheet(const std::vector<CaseRecord>& records);

/// What a reviewer reads: the summary, then each failure with its message and its command.
[[nodiscard]] std::string check_markdown(const CheckOptions& options, const std::vector<CaseRecord>& records);

}  // namespace hipforge::harness
