#include "harness/system/file.h"

#include "kernels/runtime/status.h"

#include <cstdio>
#include <fstream>
#include <sstream>

namespace hipforge::harness {

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  // A folder opens and then does not read.
  if (!file || (file.peek() != EOF && !(bytes << file.rdbuf())) || file.bad()) {
    throw Error(failure(StatusCode::kNotFound, "cannot read ", path));
  }
  return std::move(bytes).str();
}

void write_file(const std::string& path, const std::string& text) {
  const std::string partial = path + ".partial";
  std::ofstream file(partial, std::ios::binary);
  file << text;
  file.close();
  if (!file || std::rename(partial.c_str(), path.c_str()) != 0) {
    std::remove(partial.c_str());
    throw Error(failure(StatusCode::kNotFound, "cannot write ", path));
  }
}

}  // namespace hipforge::harness
