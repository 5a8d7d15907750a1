#include "fiber.h"

#include <sys/mman.h>

namespace hipforge::cpu {
namespace {

constexpr size_t kGuardBytes = 4096;
#if defined(HIPFORGE_CPU_ASAN)
constexpr size_t kStackBytes = size_t{1} << 20;
#else
constexpr size_t kStackBytes = size_t{256} << 10;
#endif

}  // namespace

FiberPool::~FiberPool() {
  for (const auto& fiber : fibers_) {
    unregister_stack(fiber->valgrind_id);
    unpoison(fiber->stack_low, kStackBytes);
    munmap(fiber->guard, kGuardBytes + kStackBytes);
  }
}

bool FiberPool::reserve(size_t count) {
  idle_.reserve(count);
  while (fibers_.size() < count) {
    void* memory = mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED) return false;
    if (mprotect(memory, kGuardBytes, PROT_NONE) != 0) {
      munmap(memory, kGuardBytes + kStackBytes);
      return false;
    }
    auto fiber = std::make_unique<Fiber>();
    fiber->guard = static_cast<char*>(memory);
    fiber->stack_low = fiber->guard + kGuardBytes;
    fiber->stack_bytes = kStackBytes;
    fiber->valgrind_id = register_stack(fiber->guard + kGuardBytes, kStackBytes);
    prepare(*fiber, fibers_.size());
    idle_.push_back(fiber.get());
    fibers_.push_back(std::move(fiber));
  }
  return true;
}

void FiberPool::prepare(Fiber& fiber, size_t index) {
  // Stacks lie a power of two apart; without an offset of its own each would use the same few cache sets.
  const size_t offset = index * 5 * 64 % 4096;
  fiber.context =
      context::make_fcontext(fiber.guard + kGuardBytes + kStackBytes - offset, kStackBytes - offset, entry_);
  fiber.fake_stack = nullptr;
}

void FiberPool::reset(bool all) {
  idle_.clear();
  for (size_t i = 0; i < fibers_.size(); ++i) {
    if (all || !fibers_[i]->idle) {
      unpoison(fibers_[i]->stack_low, kStackBytes);
      prepare(*fibers_[i], i);
    }
    give(fibers_[i].get());
  }
}

bool FiberPool::is_guard(const void* address) const {
  for (const auto& fiber : fibers_) {
    if (address >= fiber->guard && address < fiber->guard + kGuardBytes) return true;
  }
  return false;
}

}  // namespace hipforge::cpu
