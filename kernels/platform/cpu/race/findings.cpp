#include "findings.h"

#include <cstdio>

#include "source_line.h"

namespace hipforge::cpu::race {
namespace {

// More pairs of lines than this say nothing new.
constexpr size_t kTold = 4;

std::string triple(uint64_t linear, const dim3& extents) {
  const uint64_t row = linear / extents.x;
  return "(" + std::to_string(linear % extents.x) + "," + std::to_string(row % extents.y) + "," +
         std::to_string(row / extents.y) + ")";
}

const char* name(What what) {
  switch (what) {
    case What::kRead:
      return "read";
    case What::kWrite:
      return "write";
    case What::kAtomic:
      return "atomic";
    case What::kCopy:
      return "asynchronous copy";
  }
  return "access";
}

}  // namespace

void Findings::clear() {
  pairs_.clear();
  found_.clear();
}

std::string Findings::text(uint64_t first_run, const std::vector<uint64_t>& blocks, const dim3& grid,
                           const dim3& block) const {
  const auto side = [&](const Touch& touch) {
    return std::string("by block ") + triple(blocks[run_of(touch.by) - first_run], grid) + " thread " +
           triple(thread_of(touch.by), block) + " at " + source_line(touch.pc);
  };
  std::string whole;
  for (size_t i = 0; i < found_.size() && i < kTold; ++i) {
    const Finding& finding = found_[i];
    char address[32];
    std::snprintf(address, sizeof(address), "0x%zx", finding.address);
    const std::string place = finding.place + " (" + address + ")";
    if (i > 0) whole += "; ";
    if (finding.before.by == 0) {
      whole += "nobody wrote what is read: " + std::string(name(finding.now.what)) + " of " +
               std::to_string(finding.bytes) + " bytes " + side(finding.now) + ", " + place;
    } else {
      whole += "race: " + std::string(name(finding.now.what)) + " of " + std::to_string(finding.bytes) +
               " bytes " + side(finding.now) + " and " + name(finding.before.what) + " " +
               side(finding.before) + ", " + place;
    }
  }
  if (found_.size() > kTold) {
    whole += "; and " + std::to_string(found_.size() - kTold) + " more pairs of lines";
  }
  return whole;
}

}  // namespace hipforge::cpu::race
