#include "hipforge_mutant.h"

#include <hip/hip_runtime.h>

#include <cstdlib>
#include <mutex>
#include <vector>

namespace {

int number_asked_for() {
  const char* text = std::getenv("HIPFORGE_MUTANT");
  return text == nullptr ? 0 : std::atoi(text);
}

}  // namespace

const int hipforge_active_mutant = number_asked_for();

#if defined(HIPFORGE_PLATFORM_NVIDIA)

namespace {

std::vector<void (*)()>& writers() {
  static std::vector<void (*)()> all;
  return all;
}

}  // namespace

extern "C" {

__attribute__((visibility("hidden"))) bool hipforge_before_first_launch(void (*write)()) {
  writers().push_back(write);
  return true;
}

// The linker puts __wrap_ in the place of cudaLaunchKernel, and leaves that under __real_.
cudaError_t __real_cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** args,
                                    std::size_t shared_bytes, cudaStream_t stream);
cudaError_t __wrap_cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** args,
                                    std::size_t shared_bytes, cudaStream_t stream) {
  static std::once_flag once;
  std::call_once(once, [] {
    for (void (*write)() : writers()) write();
  });
  return __real_cudaLaunchKernel(function, grid, block, args, shared_bytes, stream);
}
}
#endif
