#include "harness/run/case_runner.h"

#include "harness/system/child_process.h"
#include "harness/system/host_memory.h"
#include "kernels/runtime/device_buffer.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

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
  for (const OutputShare& output : result.outputs) {
    if (!std::isfinite(output.worst_share)) continue;  // no passed case has one
    line["outputs"].push_back({output.output, output.bounded, output.worst_share});
  }
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

CaseResult from_line(const std::string& text) {
  nlohmann::json line = nlohmann::json::parse(text);
  CaseResult result;
  for_each_field(result, [&]<class T>(const char* name, T& value) {
    // JSON has no infinity: it is null.
    value = line.at(name).is_null() ? std::numeric_limits<T>::infinity() : line.at(name).get<T>();
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

class IsolatedRunner final : public CaseRunner {
 public:
  IsolatedRunner(const IsolationOptions& options, const std::vector<Target>& targets)
      : targets_(targets), longest_s_(options.timeout_s) {
    start_.command.insert(start_.command.end(), options.arguments.begin(), options.arguments.end());
    limit_mib_ =
        options.memory_limit_mib > 0 ? options.memory_limit_mib : host_memory().available_mib / 4 * 3;
#if defined(HIPFORGE_PLATFORM_CPU)
    // The executor stops a kernel that does not end by itself, and says where it was: a little earlier than
    // the process would be.
    setenv("HIPFORGE_CPU_TIMEOUT_MS", fmt::format("{:.0f}", std::max(750.0 * timeout_s_, 1.0)).c_str(), 0);
#endif
  }

  void limit(double seconds) override {
    timeout_s_ = std::min(seconds, longest_s_);
  }

  CaseResult run(const Case& test, const Target& target) override {
    const auto index = std::ranges::find(targets_, target) - targets_.begin();
    const std::string request = fmt::format("{} {}", index, test.id);
    CaseResult result = run_next(request);
    if (worker_ || ran_.size() == 1 || result.failure != Failure::kCrash) return result;
    std::vector<std::string> before = std::exchange(ran_, {});
    before.pop_back();
    const CaseResult alone = run_next(request);
    if (!alone.passed) return alone;
    result.message += after_which(before, request);
    return result;
  }

 private:
  using Worker = std::unique_ptr<ChildProcess>;

  [[nodiscard]] Worker start() const {
    auto worker = std::make_unique<ChildProcess>(start_);
    // Starting, and the device's context, are no part of a case's time.
    CaseResult death;
    if (ask(worker, {}, kStartSeconds, std::numeric_limits<std::int64_t>::max(), death) != kReady) {
      throw Error(failure(StatusCode::kNotFound, "a process for cases does not start: ", death.message));
    }
    return worker;
  }

  // The answer; empty, with `death` set and no worker, where the process has ended, if only by our hand.
  static std::string ask(Worker& worker, const std::string& request, double timeout_s, std::int64_t limit_mib,
                         CaseResult& death) {
    std::int64_t mib = 0;
    const auto grew = [&] { return (mib = resident_mib(worker->id())) > limit_mib; };
    std::string line;
    const Lines::Got got = worker->ask(request, line, timeout_s, grew);
    if (got == Lines::Got::kLine) return line;
    worker.reset();
    death.worst_share = std::numeric_limits<double>::infinity();
    if (got == Lines::Got::kEnd) {
      death.failure = Failure::kCrash;
      death.message = "its process " + line;
    } else if (got == Lines::Got::kStopped) {
      death.failure = Failure::kMemory;
      death.message = fmt::format("its process grew to {} MiB, the limit is {} MiB", mib, limit_mib);
    } else {
      death.failure = Failure::kHang;
      death.message = fmt::format("no result within {:g} s", timeout_s);
    }
    return {};
  }

  CaseResult run_in(Worker& worker, const std::string& request) const {
    CaseResult death;
    const std::string answer = ask(worker, request, timeout_s_, limit_mib_, death);
    return answer.empty() ? death : from_line(answer);
  }

  // In the process that takes one case after another.
  CaseResult run_next(const std::string& request) {
    if (!worker_ || ran_.size() >= kCasesOfAProcess) {
      ran_.clear();
      worker_.reset();
      worker_ = start();
    }
    ran_.push_back(request);
    return run_in(worker_, request);
  }

  // The case that one must come after to die; the latest are the most likely.
  [[nodiscard]] std::string after_which(const std::vector<std::string>& before,
                                        const std::string& request) const {
    const auto id = [](const std::string& of) { return of.substr(of.find(' ') + 1); };
    const auto end_time = Clock::now() + std::chrono::duration<double>(kSearchSeconds);
    for (std::size_t at = before.size(); at-- > 0 && Clock::now() < end_time;) {
      Worker worker = start();
      (void)run_in(worker, before[at]);
      if (!worker || run_in(worker, request).passed) continue;
      return fmt::format("; alone it passes, not in one process after {}", id(before[at]));
    }
    return fmt::format("; alone it passes, not in one process after {} other cases, {} to {}", before.size(),
                       id(before.front()), id(before.back()));
  }

  // What a kernel's host code prints goes to our standard error, and does not stand in our table.
  ChildStart start_{{"/proc/self/exe"}, {}, {kServedSocket}};
  std::vector<Target> targets_;
  double longest_s_;
  double timeout_s_ = longest_s_;
  std::int64_t limit_mib_ = 0;
  Worker worker_;
  std::vector<std::string> ran_;  // what the worker was asked
};

}  // namespace

std::unique_ptr<CaseRunner> make_isolated_runner(const IsolationOptions& options,
                                                 const std::vector<Target>& targets) {
  return std::make_unique<IsolatedRunner>(options, targets);
}

void serve_cases(CaseRunner& runner, const std::vector<Target>& targets) {
  { const DeviceBuffer context(1); }
  Lines requests(kServedSocket);
  requests.send(kReady);  // whoever is gone asks no more either
  for (std::string line; requests.next(line, std::numeric_limits<double>::infinity()) == Lines::Got::kLine;) {
    const std::size_t target = std::stoul(line);
    requests.send(to_line(runner.run(find_case(line.substr(line.find(' ') + 1)), targets.at(target))));
  }
  std::fflush(nullptr);
  // Nothing of what the cases left behind is to be tidied up.
  std::_Exit(0);
}

}  // namespace hipforge::harness
