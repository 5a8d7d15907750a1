#pragma once

#include "harness/check/check_command.h"

#include <string>
#include <vector>

namespace hipforge::harness {

/// All bytes of a file. Throws Error{kNotFound} that names it where it cannot be read.
[[nodiscard]] std::string read_file(const std::string& path);

/// Puts a text at `path`, written beside it and renamed into place: a reader never sees half a file.
/// Throws Error{kNotFound} that names a path that cannot be written; no partial file is left.
void write_file(const std::string& path, const std::string& text);

/// Every result with device, compiler, seed and repro line, at options.json_path.
/// Throws Error{kNotFound} that names a path that cannot be written; no partial file is left.
void write_json(const CheckOptions& options, const std::vector<CaseRecord>& records, double seconds);

/// The same as JUnit XML, one testsuite per op, at options.junit_path.
void write_junit(const CheckOptions& options, const std::vector<CaseRecord>& records, double seconds);

}  // namespace hipforge::harness
