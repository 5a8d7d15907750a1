// hipforge_cpu_race…: what a program asks of the race detector; in any build, with or without one.
#include <hipforge_cpu.h>

#include <mutex>

#include "../error.h"
#include "../launch.h"
#include "../memory.h"
#include "race.h"

using namespace hipforge::cpu;

extern "C" {

int hipforge_cpu_race_built() {
  return race::kBuilt ? 1 : 0;
}

hipError_t hipforge_cpu_set_race([[maybe_unused]] int on) {
#if defined(HIPFORGE_CPU_RACE)
  const std::lock_guard lock(device_mutex());
  if (!race::switch_on(on != 0)) return fail(hipErrorOutOfMemory, "no room to keep what each thread touched");
  return hipSuccess;
#else
  if (on == 0) return hipSuccess;
  return fail(hipErrorNotSupported, "this build's kernels do not tell what they touch (preset cpu-race)");
#endif
}

uint64_t hipforge_cpu_race_accesses() {
#if defined(HIPFORGE_CPU_RACE)
  return race::shared().accesses;
#else
  return 0;
#endif
}

uint64_t hipforge_cpu_race_choices() {
#if defined(HIPFORGE_CPU_RACE)
  return race::shared().choices;
#else
  return 0;
#endif
}

hipError_t hipforge_cpu_forget(void* pointer, size_t bytes) {
  const std::optional<Allocation> allocation = DeviceMemory::instance().find(pointer);
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  if (!allocation.has_value() || bytes > allocation->bytes - (address - allocation->base)) {
    return fail(hipErrorInvalidValue, "%zu bytes at %p are not within one allocation", bytes, pointer);
  }
  const std::lock_guard lock(device_mutex());
  race::unwrite(address, bytes);
  return hipSuccess;
}

}  // extern "C"
