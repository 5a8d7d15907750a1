#include "watchdog.h"

#include <ucontext.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

#include "config.h"
#include "worker.h"

namespace hipforge::cpu {
namespace {

// ---- Signals ----

constexpr int kFaultSignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
struct sigaction g_previous[NSIG];

int stop_signal() {
  return SIGRTMIN + 6;
}

/// Where a faulting fiber goes on, on the worker's emergency stack: its own may be what overflowed.
extern "C" void hipforge_cpu_leave_faulting_fiber() {
  signalled_worker()->abandon();
  std::abort();  // never reached: an abandoned fiber is not resumed
}

/// Returning from the handler then enters hipforge_cpu_leave_faulting_fiber(); false where this machine's
/// registers are not known.
bool redirect(ucontext_t* context, void* stack_top) {
#if defined(__x86_64__)
  context->uc_mcontext.gregs[REG_RIP] = reinterpret_cast<greg_t>(&hipforge_cpu_leave_faulting_fiber);
  context->uc_mcontext.gregs[REG_RSP] = reinterpret_cast<greg_t>(stack_top) - 8;  // as after a call
  return true;
#elif defined(__aarch64__)
  context->uc_mcontext.pc = reinterpret_cast<uintptr_t>(&hipforge_cpu_leave_faulting_fiber);
  context->uc_mcontext.sp = reinterpret_cast<uintptr_t>(stack_top);
  return true;
#else
  static_cast<void>(context);
  static_cast<void>(stack_top);
  return false;
#endif
}

/// 1: a write, 0: a read, -1: unknown.
int fault_was_write([[maybe_unused]] const ucontext_t* context) {
#if defined(__x86_64__)
  return (context->uc_mcontext.gregs[REG_ERR] & 2) != 0 ? 1 : 0;
#else
  return -1;
#endif
}

void call_previous(int signal, siginfo_t* info, void* context) {
  const struct sigaction& previous = g_previous[signal];
  if ((previous.sa_flags & SA_SIGINFO) != 0 && previous.sa_sigaction != nullptr) {
    previous.sa_sigaction(signal, info, context);
  } else if (previous.sa_handler == SIG_DFL) {
    // The default action takes place when the faulting instruction, or the raise, runs again.
    struct sigaction action {};
    action.sa_handler = SIG_DFL;
    sigaction(signal, &action, nullptr);
    if (info->si_code <= 0 || signal == SIGABRT || signal == SIGTRAP) raise(signal);
  } else if (previous.sa_handler != SIG_IGN) {
    previous.sa_handler(signal);
  }
}

void on_fault(int signal, siginfo_t* info, void* raw_context) {
  auto* context = static_cast<ucontext_t*>(raw_context);
  Worker* worker = signalled_worker();
  if (worker == nullptr || !worker->in_kernel()) {
    call_previous(signal, info, raw_context);
    return;
  }
  // The kernel hides the address of an access outside the canonical ranges.
  const bool address_known = info->si_code > 0 && info->si_code != SI_KERNEL;
  worker->note_signal(signal, reinterpret_cast<uintptr_t>(info->si_addr), fault_was_write(context),
                      address_known);
  if (!redirect(context, worker->emergency_stack_top())) std::abort();
}

void on_stop(int signal, siginfo_t*, void* raw_context) {
  Worker* worker = signalled_worker();
  // The block may have ended by itself meanwhile, or another one begun.
  if (worker == nullptr || !worker->in_kernel() || !worker->timed_out.exchange(false)) return;
  worker->note_signal(signal, 0, -1, false);
  if (!redirect(static_cast<ucontext_t*>(raw_context), worker->emergency_stack_top())) std::abort();
}

// ---- The watchdog ----

class Watchdog {
 public:
  static Watchdog& instance() {
    static Watchdog& instance = *new Watchdog;
    return instance;
  }

  void add(Worker* worker) {
    const std::lock_guard lock(mutex_);
    watched_.push_back(Watched{worker, 0, Clock::now()});
    if (!started_) {
      started_ = true;
      std::thread([this] { run(); }).detach();
    }
  }

  void remove(Worker* worker) {
    const std::lock_guard lock(mutex_);
    std::erase_if(watched_, [worker](const Watched& watched) { return watched.worker == worker; });
  }

  void settings_changed() { changed_.notify_all(); }

 private:
  using Clock = std::chrono::steady_clock;
  struct Watched {
    Worker* worker;
    uint64_t serial;
    Clock::time_point since;
  };

  void run() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    std::unique_lock lock(mutex_);
    for (;;) {
      const std::chrono::milliseconds timeout(config().timeout_ms);
      // Workers only count their blocks; looking at the counts now and then costs a launch nothing.
      changed_.wait_for(lock, std::max(timeout / 8, std::chrono::milliseconds(1)));
      const auto now = Clock::now();
      for (Watched& watched : watched_) {
        const uint64_t serial = watched.worker->block_serial.load(std::memory_order_relaxed);
        if (serial % 2 == 0 || serial != watched.serial) {
          watched.serial = serial;
          watched.since = now;
        } else if (now - watched.since >= std::chrono::milliseconds(config().timeout_ms)) {
          watched.since = now;
          watched.worker->timed_out = true;
          pthread_kill(watched.worker->os_thread, stop_signal());
        }
      }
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Watched> watched_;
  bool started_ = false;
};

}  // namespace

void install_signal_handlers() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct sigaction action {};
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    action.sa_sigaction = &on_fault;
    for (const int signal : kFaultSignals) sigaction(signal, &action, &g_previous[signal]);
    action.sa_flags |= SA_RESTART;
    action.sa_sigaction = &on_stop;
    sigaction(stop_signal(), &action, nullptr);
  });
}

void watch(Worker* worker) {
  Watchdog::instance().add(worker);
}

void unwatch(Worker* worker) {
  Watchdog::instance().remove(worker);
}

void watchdog_settings_changed() {
  Watchdog::instance().settings_changed();
}

}  // namespace hipforge::cpu
