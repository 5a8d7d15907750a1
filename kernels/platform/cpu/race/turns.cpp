#include "turns.h"

namespace hipforge::cpu::race {
namespace {

constinit thread_local unsigned my_slot = 0;

}  // namespace

Turns& Turns::instance() {
  // Never destroyed: its threads wait for launches until the process ends.
  static Turns& instance = *new Turns;
  return instance;
}

void Turns::run(unsigned slots, const std::function<void(unsigned)>& body) {
  my_slot = 0;
  {
    const std::lock_guard lock(mutex_);
    if (slots_.empty()) slots_.push_back(std::make_unique<Slot>());
    body_ = &body;
    limit_ = slots;
    begun_ = 1;
    turn_ = 0;
    slots_[0]->active = true;
  }
  body(0);
  std::unique_lock lock(mutex_);
  slots_[0]->active = false;
  // The last of the others gives the turn back.
  if (const int next = next_active(); next >= 0) {
    give(static_cast<unsigned>(next));
    wait(lock, 0);
  }
  turn_ = -1;
}

bool Turns::pass(uint64_t choice) {
  std::unique_lock lock(mutex_);
  const unsigned me = my_slot;
  unsigned others = 0;
  for (unsigned slot = 0; slot < begun_; ++slot) others += slot != me && slots_[slot]->active ? 1 : 0;
  const bool fresh = begun_ < limit_;
  if (others == 0 && !fresh) return false;
  auto chosen = static_cast<unsigned>(choice % (others + (fresh ? 1 : 0)));
  unsigned to = begun_;
  for (unsigned slot = 0; slot < begun_; ++slot) {
    if (slot == me || !slots_[slot]->active || chosen-- != 0) continue;
    to = slot;
    break;
  }
  if (to == begun_) {
    if (to == slots_.size()) {
      slots_.push_back(std::make_unique<Slot>());
      slots_[to]->thread = std::thread([this, to] { serve(to); });
    }
    slots_[to]->active = true;
    ++begun_;
  }
  give(to);
  wait(lock, me);
  return true;
}

void Turns::serve(unsigned slot) {
  my_slot = slot;
  std::unique_lock lock(mutex_);
  for (;;) {
    wait(lock, slot);
    const std::function<void(unsigned)>& body = *body_;
    lock.unlock();
    body(slot);
    lock.lock();
    slots_[slot]->active = false;
    const int next = next_active();
    give(next < 0 ? 0 : static_cast<unsigned>(next));
  }
}

void Turns::give(unsigned slot) {
  turn_ = static_cast<int>(slot);
  slots_[slot]->wake.notify_one();
}

void Turns::wait(std::unique_lock<std::mutex>& lock, unsigned slot) {
  Slot& mine = *slots_[slot];
  mine.wake.wait(lock, [this, slot] { return turn_ == static_cast<int>(slot); });
}

int Turns::next_active() const {
  for (unsigned slot = 0; slot < begun_; ++slot) {
    if (slots_[slot]->active) return static_cast<int>(slot);
  }
  return -1;
}

}  // namespace hipforge::cpu::race
