#pragma once

#include <string>

namespace hipforge::harness {

/// All bytes of a file. Throws Error{kNotFound} that names it where it cannot be read.
[[nodiscard]] std::string read_file(const std::string& path);

/// Puts a text at `path`, written beside it and renamed into place: a reader never sees half a file.
/// Throws Error{kNotFound} that names a path that cannot be written; no partial file is left.
void write_file(const std::string& path, const std::string& text);

}  // namespace hipforge::harness
