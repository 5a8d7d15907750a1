// Fibers with guarded stacks, over Boost.Context's bare context switch.
#pragma once

#include <boost/context/detail/fcontext.hpp>

#include <cstddef>
#include <memory>
#include <vector>

#include "sanitizer.h"

namespace hipforge::cpu {

namespace context = boost::context::detail;

struct Fiber {
  context::fcontext_t context = nullptr;  // where it goes on; valid while it does not run
  void* fake_stack = nullptr;             // AddressSanitizer's
  const void* stack_low = nullptr;
  size_t stack_bytes = 0;
  unsigned valgrind_id = 0;
  bool idle = true;
  char* guard = nullptr;  // start of the mapping: the unreadable page under the stack
};

/// Suspends `from` and goes on with `to`; returns when something switches back to `from`.
inline void switch_fiber(Fiber* from, Fiber* to) {
  start_switch(&from->fake_stack, to->stack_low, to->stack_bytes);
  const context::transfer_t transfer = context::jump_fcontext(to->context, from);
  static_cast<Fiber*>(transfer.data)->context = transfer.fctx;
  finish_switch(from->fake_stack);
}

/// The fibers of one worker, made when first needed and used again.
class FiberPool {
 public:
  explicit FiberPool(void (*entry)(context::transfer_t)) : entry_(entry) {}
  ~FiberPool();
  FiberPool(const FiberPool&) = delete;
  FiberPool& operator=(const FiberPool&) = delete;

  /// Makes sure that `count` fibers exist; false if the system has no room for their stacks.
  bool reserve(size_t count);
  Fiber* take() {
    Fiber* fiber = idle_.back();
    idle_.pop_back();
    fiber->idle = false;
    return fiber;
  }
  void give(Fiber* fiber) {
    fiber->idle = true;
    idle_.push_back(fiber);
  }
  /// After a block was abandoned: fibers that were in use start anew; all do if it happened at any moment,
  /// between two switches as well as in one.
  void reset(bool all);
  /// True if the address is in the unreadable page under a stack.
  bool is_guard(const void* address) const;

 private:
  void prepare(Fiber& fiber, size_t index);

  void (*entry_)(context::transfer_t);
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
};

}  // namespace hipforge::cpu
