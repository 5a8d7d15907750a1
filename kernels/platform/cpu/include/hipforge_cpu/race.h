// Asynchronous copies for the race detector: done at once, but nobody may rely on that before the wait.
#pragma once

#include <stddef.h>

#include <hip/hip_runtime_api.h>

namespace hipforge::cpu {

/// Writes `bytes` to shared memory, a multiple of 4: the first `from_global` of them read from `global`, then
/// zeros. Until the thread has waited for the copy, any access to what it writes is a race.
HIPFORGE_CPU_API void race_copy(void* target, const void* global, size_t bytes, size_t from_global);
/// Closes the group of this thread's copies since the last commit.
HIPFORGE_CPU_API void race_copy_commit();
/// Waits for all but the latest `pending` groups of this thread.
HIPFORGE_CPU_API void race_copy_wait(size_t pending);

}  // namespace hipforge::cpu
