#include "harness/run/isolation.h"

#include "harness/system/child_process.h"
#include "harness/system/host_memory.h"
#include "kernels/runtime/device_buffer.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>

namespace hipforge::harness {
namespace {

using Clock = std::chrono::steady_clock;

// Where the process finds its requests and leaves its answers.
constexpr int kServedSocket = 3;
// Cases of one process: what must be searched where one of them harms a later one.
constexpr std::size_t kCasesOfAProcess = 256;
constexpr double kSearchSeconds = 10.0;
constexpr double kStartSeconds = 120.0;
constexpr const char* kReady = "ready";

void send_all(const std::string& text) {
  for (std::size_t sent = 0; sent < text.size();) {
    const ssize_t written = send(kServedSocket, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (written <= 0) return;
    sent += static_cast<std::size_t>(written);
  }
}

CaseResult died(Failure failure, std::string message) {
  CaseResult result;
  result.failure = failure;
  result.worst_share = std::numeric_limits<double>::infinity();
  result.message = std::move(message);
  return result;
}

// All that goes over the socket of a result but its outputs.
template <class Result, class Visit>
void for_each_field(Result& result, const Visit& visit) {
  visit("passed", result.passed);
  visit("bounded", result.bounded);
  visit("worst_share", result.worst_share);
  visit("elements", result.elements);
  visit("where", result.where);
  visit("message", result.message);
  visit("unsupported", result.unsupported);
  visit("failure", result.failure);
}

std::string to_line(const CaseResult& result) {
  nlohmann::json line;
  for_each_field(result, [&](const char* name, const auto& value) { line[name] = value; });
  // JSON has no infinity.
  if (!std::isfinite(result.worst_share)) line.erase("worst_share");
  for (const OutputShare& output : result.outputs) {
    if (!std::isfinite(output.worst_share)) continue;  // no passed case has one
    line["outputs"].push_back({output.output, output.bounded, output.worst_share});
  }
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

CaseResult from_line(const std::string& text) {
  nlohmann::json line = nlohmann::json::parse(text);
  CaseResult result;
  result.worst_share = std::numeric_limits<double>::infinity();
  for_each_field(result, [&](const std::string& name, auto& value) {
    if (name != "worst_share" || line.contains(name)) line.at(name).get_to(value);
  });
  for (const nlohmann::json& output : line["outputs"]) {
    result.outputs.push_back({output.at(0), output.at(1), output.at(2)});
  }
  return result;
}

std::int64_t resident_mib(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/statm", pid));
  std::int64_t size = 0;
  std::int64_t resident = 0;
  if (!(file >> size >> resident)) return 0;
  return resident * sysconf(_SC_PAGESIZE) >> 20;
}

// What is our standard output would stand in the table if a kernel's host code wrote to it.
ChildStart server(const IsolationOptions& options) {
  ChildStart start{{"/proc/self/exe"}, {}, {{STDOUT_FILENO, STDERR_FILENO}}};
  start.command.insert(start.command.end(), options.arguments.begin(), options.arguments.end());
  return start;
}

// One process that serves cases.
class Worker {
 public:
  explicit Worker(const IsolationOptions& options) : dialog_(server(options), {kServedSocket}) {
    // Starting, and the device's context, are no part of a case's time.
    CaseResult death;
    if (receive(kStartSeconds, std::numeric_limits<std::int64_t>::max(), death) != kReady) {
      throw Error(failure(StatusCode::kNotFound, "a process for cases does not start: ", death.message));
    }
  }

  CaseResult run(const Case& test, std::size_t target, double timeout_s, std::int64_t limit_mib) {
    (void)dialog_.send(fmt::format("{} {}", target, test.id));  // a dead one shows below
    CaseResult death;
    const std::string answer = receive(timeout_s, limit_mib, death);
    return answer.empty() ? death : from_line(answer);
  }

  [[nodiscard]] bool alive() { return dialog_.process().id() != 0; }

 private:
  // The next line of the process; empty, with `death` set, where it has come to an end, if only by our hand.
  std::string receive(double timeout_s, std::int64_t limit_mib, CaseResult& death) {
    ChildProcess& process = dialog_.process();
    std::int64_t mib = 0;
    const auto grew = [&] { return (mib = resident_mib(process.id())) > limit_mib; };
    std::string line;
    switch (dialog_.answers().next(line, timeout_s, grew)) {
      case LineReader::Got::kLine:
        return line;
      case LineReader::Got::kEnd:
        death = died(Failure::kCrash, "its process " + process.wait().text());
        break;
      case LineReader::Got::kStopped:
        death = died(Failure::kMemory,
                     fmt::format("its process grew to {} MiB, the limit is {} MiB", mib, limit_mib));
        break;
      case LineReader::Got::kTimeout:
        death = died(Failure::kHang, fmt::format("no result within {:g} s", timeout_s));
        break;
    }
    (void)process.kill();
    return {};
  }

  ChildDialog dialog_;
};

class IsolatedRunner final : public CaseRunner {
 public:
  IsolatedRunner(const IsolationOptions& options, const std::vector<Target>& targets)
      : options_(options), targets_(targets), timeout_s_(options.timeout_s) {
    limit_mib_ =
        options.memory_limit_mib > 0 ? options.memory_limit_mib : host_memory().available_mib / 4 * 3;
#if defined(HIPFORGE_PLATFORM_CPU)
    // The executor stops a kernel that does not end by itself, and says where it was: a little earlier than
    // the process would be.
    setenv("HIPFORGE_CPU_TIMEOUT_MS", fmt::format("{:.0f}", std::max(750.0 * timeout_s_, 1.0)).c_str(), 0);
#endif
  }

  void limit(double seconds) override {
    timeout_s_ = std::min(seconds, options_.timeout_s);
  }

  CaseResult run(const Case& test, const Target& target) override {
    const auto at = std::find(targets_.begin(), targets_.end(), target);
    const auto index = static_cast<std::size_t>(at - targets_.begin());
    if (ran_.size() >= kCasesOfAProcess) worker_.reset();
    if (!worker_) start();
    CaseResult result = worker_->run(test, index, timeout_s_, limit_mib_);
    const std::vector<Case> before = std::move(ran_);
    ran_ = before;
    ran_.push_back(test);
    if (worker_->alive()) return result;
    worker_.reset();
    if (before.empty() || result.failure != Failure::kCrash) return result;
    start();
    const CaseResult alone = worker_->run(test, index, timeout_s_, limit_mib_);
    ran_ = {test};
    if (!worker_->alive()) worker_.reset();
    if (!alone.passed) return alone;
    result.message += after_which(before, test, index);
    return result;
  }

 private:
  void start() {
    worker_ = std::make_unique<Worker>(options_);
    ran_.clear();
  }

  // The case that one must come after to die; the latest are the most likely.
  std::string after_which(const std::vector<Case>& before, const Case& test, std::size_t index) {
    const auto end_time = Clock::now() + std::chrono::duration<double>(kSearchSeconds);
    for (std::size_t at = before.size(); at-- > 0 && Clock::now() < end_time;) {
      Worker worker(options_);
      (void)worker.run(before[at], index, timeout_s_, limit_mib_);
      if (!worker.alive() || worker.run(test, index, timeout_s_, limit_mib_).passed) continue;
      return fmt::format("; alone it passes, not in one process after {}", before[at].id);
    }
    return fmt::format("; alone it passes, not in one process after {} other cases, {} to {}", before.size(),
                       before.front().id, before.back().id);
  }

  IsolationOptions options_;
  std::vector<Target> targets_;
  double timeout_s_;
  std::int64_t limit_mib_ = 0;
  std::unique_ptr<Worker> worker_;
  std::vector<Case> ran_;  // in the worker's process
};

}  // namespace

std::unique_ptr<CaseRunner> make_isolated_runner(const IsolationOptions& options,
                                                 const std::vector<Target>& targets) {
  return std::make_unique<IsolatedRunner>(options, targets);
}

void serve_cases(CaseRunner& runner, const std::vector<Target>& targets) {
  { const DeviceBuffer context(1); }
  send_all(std::string(kReady) + "\n");
  LineReader requests(kServedSocket);
  std::string line;
  while (requests.next(line, std::numeric_limits<double>::infinity()) == LineReader::Got::kLine) {
    const std::size_t space = line.find(' ');
    const std::size_t target = std::stoul(line.substr(0, space));
    send_all(to_line(runner.run(find_case(line.substr(space + 1)), targets.at(target))));
  }
  std::fflush(nullptr);
  // Nothing of what the cases left behind is to be tidied up.
  std::_Exit(0);
}

}  // namespace hipforge::harness
