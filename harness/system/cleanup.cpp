#include "harness/system/cleanup.h"

#include "kernels/runtime/status.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

namespace hipforge::harness {
namespace {

namespace fs = std::filesystem;

struct Remains {
  std::mutex mutex;
  std::set<pid_t> groups;
  std::set<fs::path> folders;
  int signals[2] = {-1, -1};  // a pipe: handlers write, the watcher reads
};

// Never destroyed: the watcher outlives main().
Remains& remains() {
  static auto* const all = new Remains;
  return *all;
}

void on_signal(int signal) {
  const int error = errno;
  const auto byte = static_cast<char>(signal);
  (void)!::write(remains().signals[1], &byte, 1);
  errno = error;
}

// A thread of its own, because a handler may neither lock nor remove.
void watch() {
  Remains& all = remains();
  char byte = 0;
  while (::read(all.signals[0], &byte, 1) != 1) {
  }
  all.mutex.lock();  // for good: whoever would start or remove something waits for the end
  for (const pid_t leader : all.groups) (void)::kill(-leader, SIGKILL);
  for (const pid_t leader : all.groups) (void)::waitpid(leader, nullptr, 0);
  std::error_code ignored;
  for (const fs::path& folder : all.folders) {
    // Another thread of ours may still be writing there, which ends when its folder is gone.
    for (int i = 0; i < 100 && fs::exists(folder, ignored); ++i) fs::remove_all(folder, ignored);
  }
  (void)std::signal(byte, SIG_DFL);
  (void)::kill(::getpid(), byte);
  for (;;) (void)::pause();
}

void start_watching() {
  if (::pipe2(remains().signals, O_CLOEXEC) != 0) return;
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread(watch).detach();
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action {};
    // One that is ignored (nohup) or handled stays so.
    if (::sigaction(signal, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) continue;
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    (void)::sigaction(signal, &action, nullptr);
  }
}

[[nodiscard]] std::unique_lock<std::mutex> lock() {
  static std::once_flag watching;
  std::call_once(watching, start_watching);
  return std::unique_lock(remains().mutex);
}

}  // namespace

pid_t start_group(const std::function<pid_t()>& start) {
  const auto held = lock();
  const pid_t leader = start();
  remains().groups.insert(leader);
  return leader;
}

void forget_group(pid_t leader) {
  const auto held = lock();
  remains().groups.erase(leader);
}

TemporaryFolder::TemporaryFolder() {
  const auto held = lock();
  std::string name = fs::temp_directory_path() / "hipforge-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) {
    throw Error(failure(StatusCode::kNotFound, "no temporary folder can be made at ", name, ": ",
                        std::strerror(errno)));
  }
  path_ = name;
  remains().folders.insert(path_);
}

TemporaryFolder::TemporaryFolder(fs::path made) : path_(std::move(made)) {
  const auto held = lock();
  remains().folders.insert(path_);
}

TemporaryFolder::~TemporaryFolder() {
  const auto held = lock();
  std::error_code ignored;
  fs::remove_all(path_, ignored);
  remains().folders.erase(path_);
}

}  // namespace hipforge::harness
