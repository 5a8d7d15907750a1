#include "race.h"

#include <algorithm>
#include <vector>

#include "../memory.h"
#include "../worker.h"
#include "turns.h"

#include <hipforge_cpu.h>

namespace hipforge::cpu::race {
namespace {

// A launch takes a run for each of its blocks, and more where a block passes very many barriers.
constexpr uint64_t kSpareRuns = 1 << 20;

bool in_device(uintptr_t begin) {
  return begin - shared().device.begin < shared().device.bytes;
}

void count_all_as_written() {
  std::vector<HipforgeCpuAllocation> live(DeviceMemory::instance().list(nullptr, 0));
  live.resize(std::min(live.size(), DeviceMemory::instance().list(live.data(), live.size())));
  for (const HipforgeCpuAllocation& allocation : live) host_wrote(allocation.address, allocation.bytes);
}

}  // namespace

bool switch_on(bool on) {
  Shared& all = shared();
  if (on && !all.on) {
    const auto [begin, bytes] = DeviceMemory::instance().range();
    all.device = MemoryRange{begin, bytes};
    if (!all.shadow.reserved() && !all.shadow.reserve(bytes)) return false;
    all.on = true;
    count_all_as_written();
  }
  all.on = on;
  return true;
}

std::string begin_launch(const Launch& launch) {
  Shared& all = shared();
  if (launch.blocks >= kMaxRuns - kSpareRuns) {
    return std::string("kernel ") + launch.name + ": " + std::to_string(launch.blocks) +
           " blocks, which are too many to watch";
  }
  if (all.next_run + launch.blocks + kSpareRuns > kMaxRuns) {
    all.next_run = 1;
    ++all.era;
    count_all_as_written();
  }
  all.first_run = all.next_run;
  all.blocks.clear();
  all.releases.clear();
  all.findings.clear();
  return "";
}

std::string end_launch(const Launch& launch) {
  const Shared& all = shared();
  if (!all.on || all.findings.empty()) return "";
  return std::string("kernel ") + launch.name + ": " +
         all.findings.text(all.first_run, all.blocks, launch.grid, launch.block);
}

void run_in_turns(const Launch& launch, const std::function<void(int)>& run_slot) {
  const auto slots = static_cast<unsigned>(std::min<uint64_t>(kSlots, launch.blocks));
  Turns::instance().run(slots, [&](unsigned slot) { run_slot(static_cast<int>(slot)); });
}

bool pass_turn(uint64_t choice) {
  return Turns::instance().pass(choice);
}

void forget(uintptr_t begin, size_t bytes) {
  Shared& all = shared();
  if (all.on && in_device(begin)) all.shadow.forget(begin - all.device.begin, bytes);
}

void unwrite(uintptr_t begin, size_t bytes) {
  Shared& all = shared();
  if (all.on && in_device(begin)) all.shadow.mark(begin - all.device.begin, bytes, 0);
}

void host_wrote(const void* begin, size_t bytes) {
  Shared& all = shared();
  const auto address = reinterpret_cast<uintptr_t>(begin);
  if (all.on && in_device(address)) all.shadow.mark(address - all.device.begin, bytes, kHostWrote);
}

}  // namespace hipforge::cpu::race
