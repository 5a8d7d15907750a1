// Several blocks at once, one of them running: host threads that take turns.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace hipforge::cpu::race {

/// Slots of a launch, each a host thread that runs blocks. Exactly one runs at a time, and which comes next
/// is the choice of the one that gives up its turn: an interleaving of blocks that repeats.
class Turns {
 public:
  static Turns& instance();

  /// Runs body(0) on this thread, and body(1) … body(slots - 1) on others as turns are passed to them.
  /// Returns when all that began have ended.
  void run(unsigned slots, const std::function<void(unsigned)>& body);
  /// Called inside a body: another slot goes on, or a new one begins, by `choice`; false if there is none.
  bool pass(uint64_t choice);

 private:
  struct Slot {
    std::thread thread;
    std::condition_variable wake;
    bool active = false;
  };

  void serve(unsigned slot);
  void give(unsigned slot);
  void wait(std::unique_lock<std::mutex>& lock, unsigned slot);
  int next_active() const;

  std::mutex mutex_;
  std::vector<std::unique_ptr<Slot>> slots_;
  const std::function<void(unsigned)>* body_ = nullptr;
  unsigned limit_ = 0;
  unsigned begun_ = 0;
  int turn_ = -1;
};

}  // namespace hipforge::cpu::race
