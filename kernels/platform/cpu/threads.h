// The threads of a block, and lists of those that wait or can run.
#pragma once

#include <hip/hip_runtime_api.h>

#include "fiber.h"

namespace hipforge::cpu {

inline constexpr unsigned kMaxBlockThreads = 1024;

/// Kept up to date only where a thread stops: what it says of a thread that can run is stale.
enum class ThreadState : unsigned char { kUnstarted, kAtBarrier, kAtCollective, kAtBulk, kReturned };

struct Wave;

/// One thread of a block.
struct alignas(64) Thread {
  Thread* next = nullptr;  // in a list of waiting or ready threads
  Fiber* fiber = nullptr;
  Wave* wave = nullptr;
  uint3 index{};
  unsigned lane = 0;
};

struct ThreadList {
  Thread* head = nullptr;
  Thread* tail = nullptr;

  void push(Thread* thread) {
    thread->next = nullptr;
    (head == nullptr ? head : tail->next) = thread;
    tail = thread;
  }
  Thread* pop() {
    Thread* thread = head;
    if (thread != nullptr) head = thread->next;
    return thread;
  }
};

}  // namespace hipforge::cpu
