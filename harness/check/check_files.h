#pragma once

#include "harness/check/case_record.h"

#include <vector>

namespace hipforge::harness {

/// Every result with device, compiler, seed and repro line, at options.json_path.
/// Throws Error{kNotFound} that names a path that cannot be written; no partial file is left.
void write_json(const CheckOptions& options, const std::vector<CaseRecord>& records, double seconds);

/// The same as JUnit XML, one testsuite per op, at options.junit_path.
void write_junit(const CheckOptions& options, const std::vector<CaseRecord>& records, double seconds);

}  // namespace hipforge::harness
