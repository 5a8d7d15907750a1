#include "harness/replay/replay_command.h"

#include "harness/core/case.h"
#include "harness/core/device_info.h"
#include "harness/output/summary.h"
#include "harness/replay/emulation.h"
#include "harness/replay/recording.h"
#include "harness/replay/rerun.h"
#include "harness/system/exit_code.h"
#include "harness/system/progress.h"
#include "kernels/runtime/target.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <regex>
#include <thread>
#include <utility>

namespace hipforge::harness {
namespace {

/// The launches of one case's op, or any other launch alone: what is judged together.
using Group = std::vector<const RecordedLaunch*>;

using Verdict = Entry::Verdict;

struct LaunchRecord {
  const RecordedLaunch* launch = nullptr;
  Verdict verdict = Verdict::kSkipped;
  bool same_bits = false;  // as the recording
  bool judged = false;     // by the case's oracle
  double worst_share = 0.0;
  std::string where;
  std::string message;
};

bool is_op_of_case(const RecordedLaunch& launch) {
  return launch.origin && !launch.origin->made_inputs;
}

std::vector<Group> select_groups(const Recording& recording, const ReplayOptions& options) {
  const std::regex filter(options.filter);
  std::vector<Group> groups;
  for (const RecordedLaunch& launch : recording.launches()) {
    // Code objects hold ops; the kernels that make inputs are the harness's own.
    if (!options.emulate.empty() && launch.origin && launch.origin->made_inputs) continue;
    const std::string name = launch.kernel + (launch.origin ? " " + launch.origin->id : "");
    if (!options.filter.empty() && !std::regex_search(name, filter)) continue;
    const bool goes_on = !groups.empty() && is_op_of_case(launch) && is_op_of_case(*groups.back().back()) &&
                         groups.back().back()->origin->run == launch.origin->run;
    if (!goes_on) groups.emplace_back();
    groups.back().push_back(&launch);
  }
  return groups;
}

// Runs a group. A buffer that nobody touched between two launches of it carries what the first really wrote.
std::vector<Rerun> run_group(Rerunner& rerunner, const Recording& recording, const Group& group) {
  struct Carried {
    std::string recorded;  // name of the contents that this stands for
    std::vector<std::byte> bytes;
  };
  std::map<std::uintptr_t, Carried> carried;
  std::vector<Rerun> reruns;
  for (const RecordedLaunch* launch : group) {
    BufferContents before;
    for (const RecordedBuffer& buffer : launch->buffers) {
      const auto at = carried.find(buffer.allocation.address);
      const bool carries = at != carried.end() && at->second.recorded == buffer.before &&
                           at->second.bytes.size() == buffer.allocation.bytes;
      before.push_back(carries ? at->second.bytes
                               : recording.contents(buffer.before, buffer.allocation.bytes));
    }
    reruns.push_back(rerunner.run(*launch, std::move(before)));
    for (std::size_t i = 0; i < reruns.back().after.size(); ++i) {
      const RecordedBuffer& buffer = launch->buffers[i];
      carried[buffer.allocation.address] = {buffer.after, reruns.back().after[i]};
    }
  }
  return reruns;
}

const Case* find_case(const std::string& id) {
  for (const OpSuite& suite : all_suites()) {
    for (const std::vector<Case>* cases : {&suite.cases, &suite.bench_cases}) {
      const auto at =
          std::find_if(cases->begin(), cases->end(), [&](const Case& test) { return test.id == id; });
      if (at != cases->end()) return &*at;
    }
  }
  return nullptr;
}

// The oracle's word on what a group left in its case's operands; nullopt where there is no such case.
std::optional<CaseResult> ask_oracle(const Group& group, const std::vector<Rerun>& reruns) {
  const RecordedOrigin& origin = *group.back()->origin;
  const Case* const test = find_case(origin.id);
  if (test == nullptr) return std::nullopt;
  try {
    PreparedCase prepared = test->prepare({recorded_target(*group.back()), origin.seed});
    throw_if_error(prepared.rig->reset());
    for (std::size_t i = 0; i < group.size(); ++i) {
      for (const auto& [name, buffer] : group[i]->origin->operands) {
        prepared.rig->restore(name, reruns[i].after[buffer]);
      }
    }
    return check_case(prepared);
  } catch (const std::exception& error) {
    CaseResult result;
    result.message = error.what();
    return result;
  }
}

// "" where the bits are as recorded, else the first that are not.
std::string difference(const Recording& recording, const RecordedLaunch& launch, const Rerun& rerun) {
  std::size_t bytes = 0;
  std::string first;
  for (std::size_t i = 0; i < launch.buffers.size(); ++i) {
    const RecordedBuffer& buffer = launch.buffers[i];
    const std::vector<std::byte> recorded = recording.contents(buffer.after, buffer.allocation.bytes);
    for (std::size_t at = 0; at < recorded.size(); ++at) {
      if (recorded[at] == rerun.after[i][at]) continue;
      if (bytes++ != 0) continue;
      std::string name = fmt::format("buffer {}", i);
      if (launch.origin) {
        for (const auto& [operand, index] : launch.origin->operands) {
          if (index == i) name = operand;
        }
      }
      first = fmt::format("{} is {:#04x} at byte {} of its allocation, recorded {:#04x}", name,
                          static_cast<unsigned>(rerun.after[i][at]), at, static_cast<unsigned>(recorded[at]));
    }
  }
  return bytes == 0 ? "" : fmt::format("{} bytes differ from the recording: {}", bytes, first);
}

std::vector<LaunchRecord> judge_group(const Recording& recording, const Group& group,
                                      const std::vector<Rerun>& reruns, bool same_platform) {
  std::vector<LaunchRecord> records;
  bool all_ran = true;
  for (std::size_t i = 0; i < group.size(); ++i) {
    LaunchRecord record;
    record.launch = group[i];
    record.message = reruns[i].reason;
    all_ran = all_ran && reruns[i].outcome == Rerun::Outcome::kRan;
    if (reruns[i].outcome == Rerun::Outcome::kFailed) {
      record.verdict = Verdict::kFailed;
    } else if (reruns[i].outcome == Rerun::Outcome::kRan) {
      record.verdict = Verdict::kPassed;
      if (group[i]->error.empty()) {
        record.message = difference(recording, *group[i], reruns[i]);
        record.same_bits = record.message.empty();
      } else {
        record.message =
            fmt::format("nothing to compare with, the recorded launch failed: {}", group[i]->error);
      }
    }
    records.push_back(std::move(record));
  }
  const bool all_same = std::all_of(records.begin(), records.end(),
                                    [](const LaunchRecord& record) { return record.same_bits; });
  if (same_platform && all_same) return records;

  std::optional<CaseResult> oracle;
  if (all_ran && is_op_of_case(*group.back())) oracle = ask_oracle(group, reruns);
  for (LaunchRecord& record : records) {
    if (record.verdict != Verdict::kPassed) continue;
    const bool must_be_same =
        record.launch->error.empty() &&
        (same_platform || (record.launch->origin && record.launch->origin->made_inputs));
    if (oracle) {
      record.judged = true;
      record.worst_share = oracle->worst_share;
      record.where = oracle->where;
    }
    if (must_be_same && !record.same_bits) {
      record.verdict = Verdict::kFailed;
      if (oracle) {
        record.message += oracle->passed
                              ? fmt::format("; within the oracle's bound, share {:.3f}", oracle->worst_share)
                              : fmt::format("; the oracle: {}", oracle->message);
      }
    } else if (oracle) {
      record.verdict = oracle->passed ? Verdict::kPassed : Verdict::kFailed;
      record.message = oracle->message;
    } else if (!record.same_bits) {
      record.verdict = Verdict::kSkipped;
      if (record.launch->origin && find_case(record.launch->origin->id) == nullptr) {
        record.message += fmt::format("; case {} is not in this build", record.launch->origin->id);
      } else if (!record.launch->origin) {
        record.message += "; without a case there is no bound";
      }
    }
  }
  return records;
}

std::string launch_name(const RecordedLaunch& launch) {
  return fmt::format("launch {} {}{}", launch.index, launch.kernel,
                     launch.origin ? " of " + launch.origin->id : "");
}

// A row a kernel.
Sheet kernel_sheet(const std::vector<LaunchRecord>& records) {
  struct Row {
    std::size_t launches = 0, failed = 0, skipped = 0, same_bits = 0;
    bool judged = false;
    double worst_share = 0.0;
    std::string where;
  };
  std::vector<std::string> order;
  std::map<std::string, Row> rows;
  for (const LaunchRecord& record : records) {
    if (!rows.contains(record.launch->kernel)) order.push_back(record.launch->kernel);
    Row& row = rows[record.launch->kernel];
    ++row.launches;
    row.failed += record.verdict == Verdict::kFailed ? 1 : 0;
    row.skipped += record.verdict == Verdict::kSkipped ? 1 : 0;
    row.same_bits += record.same_bits ? 1 : 0;
    if (!record.judged) continue;
    row.judged = true;
    if (record.worst_share >= row.worst_share) {
      row.worst_share = record.worst_share;
      row.where = fmt::format("{} {}", record.launch->origin->id, record.where);
    }
  }
  Sheet sheet{{"kernel", "launches", "failed", "skipped", "same bits", "share", "worst at"}, {}};
  for (const std::string& kernel : order) {
    const Row& row = rows.at(kernel);
    const std::string share = !row.judged                   ? "-"
                              : std::isinf(row.worst_share) ? "wrong"
                                                            : fmt::format("{:.3f}", row.worst_share);
    sheet.rows.push_back({kernel, std::to_string(row.launches), std::to_string(row.failed),
                          std::to_string(row.skipped), std::to_string(row.same_bits), share, row.where});
  }
  return sheet;
}

Entry entry_of(const LaunchRecord& record) {
  constexpr const char* kVerdicts[] = {"passed", "failed", "skipped"};
  Entry entry{
      launch_name(*record.launch), record.launch->kernel, record.verdict, 0.0, record.message, {}, {}};
  entry.fields.emplace_back("kernel", record.launch->kernel);
  if (record.launch->origin) {
    entry.fields.emplace_back("case", record.launch->origin->id);
    entry.fields.emplace_back("op", record.launch->origin->op);
    entry.fields.emplace_back("dtype", record.launch->origin->dtype);
  }
  entry.fields.emplace_back("target", record.launch->architecture);
  entry.fields.emplace_back("wave", record.launch->wave);
  entry.fields.emplace_back("verdict", kVerdicts[static_cast<int>(record.verdict)]);
  entry.fields.emplace_back("same_bits", record.same_bits);
  if (record.judged) {
    entry.fields.emplace_back("worst_share", record.worst_share);
    entry.fields.emplace_back("where", record.where);
  }
  if (!record.message.empty()) entry.fields.emplace_back("message", record.message);
  return entry;
}

Summary replay_summary(const ReplayOptions& options, const Recording& recording,
                       const std::vector<LaunchRecord>& records,
                       const std::map<std::string, std::size_t>& skips) {
  Summary summary;
  summary.head.emplace_back("recorded_on",
                            JsonFields{{"platform", recording.platform()}, {"device", recording.device()}});
  if (options.emulate.empty()) {
    const DeviceInfo info = device_info();
    summary.head.emplace_back("replayed_on", JsonFields{{"platform", info.platform}, {"device", info.name}});
  } else {
    summary.head.emplace_back("emulated", options.emulate);
  }
  summary.head.emplace_back("skips", JsonFields(skips.begin(), skips.end()));  // how many by reason
  summary.rows = "launches";
  for (const LaunchRecord& record : records) summary.entries.push_back(entry_of(record));
  summary.groups = kernel_sheet(records);
  return summary;
}

// Launches one after another on the device, each for the target that it was planned for.
std::vector<LaunchRecord> replay_on_device(const Recording& recording, const std::vector<Group>& groups) {
  Target device;
  throw_if_error(device_target(device));
  const bool same_platform =
      recording.platform() == device_info().platform && recording.architecture() == device.architecture;
  const std::unique_ptr<Rerunner> rerunner = make_device_rerunner();
  std::vector<LaunchRecord> records;
  for (const Group& group : groups) {
    const std::vector<Rerun> reruns = run_group(*rerunner, recording, group);
    for (LaunchRecord& record : judge_group(recording, group, reruns, same_platform)) {
      records.push_back(std::move(record));
    }
  }
  return records;
}

// Groups on as many emulators as there are jobs; judged here, in order, as they come.
std::vector<LaunchRecord> replay_emulated(const Recording& recording, const std::vector<Group>& groups,
                                          const ReplayOptions& options) {
  const Emulation emulation = find_emulation(options.emulate, options.code);
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  const std::size_t jobs = std::min<std::size_t>(options.jobs == 0 ? cores : options.jobs, groups.size());

  std::vector<std::optional<std::vector<Rerun>>> results(groups.size());
  std::exception_ptr fault;
  std::mutex mutex;
  std::condition_variable changed;
  std::atomic<std::size_t> next{0};
  const auto work = [&](const std::stop_token& stop) {
    try {
      const std::unique_ptr<Rerunner> emulator = make_emulator(emulation);
      for (std::size_t at = next++; at < groups.size() && !stop.stop_requested(); at = next++) {
        std::vector<Rerun> reruns = run_group(*emulator, recording, groups[at]);
        const std::lock_guard lock(mutex);
        results[at] = std::move(reruns);
        changed.notify_one();
      }
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!fault) fault = std::current_exception();
      changed.notify_one();
    }
  };
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < jobs; ++i) threads.emplace_back(work);

  std::vector<LaunchRecord> records;
  Progress progress(groups.size());
  for (std::size_t at = 0; at < groups.size(); ++at) {
    std::vector<Rerun> reruns;
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return results[at] || fault; });
      if (fault) std::rethrow_exception(fault);
      reruns = std::move(*results[at]);
    }
    for (LaunchRecord& record : judge_group(recording, groups[at], reruns, false)) {
      records.push_back(std::move(record));
    }
    progress.step(groups[at].back()->kernel);
  }
  return records;
}

}  // namespace

int run_replay(const ReplayOptions& options) {
  const Recording recording(options.folder);
  std::vector<Group> groups;
  try {
    groups = select_groups(recording, options);
  } catch (const std::regex_error& error) {
    fmt::print(stderr, "hipforge replay: --filter '{}' is no regular expression: {}\n", options.filter,
               error.what());
    return kExitUsage;
  }
  if (groups.empty()) {
    fmt::print(stderr, "hipforge replay: no launch matches\n");
    return kExitUsage;
  }
  const std::vector<LaunchRecord> records = options.emulate.empty()
                                                ? replay_on_device(recording, groups)
                                                : replay_emulated(recording, groups, options);

  std::map<std::string, std::size_t> skips;
  for (const LaunchRecord& record : records) {
    if (record.verdict == Verdict::kSkipped) ++skips[record.message];
  }
  const Summary summary = replay_summary(options, recording, records, skips);
  fmt::print("{}", aligned(summary.groups));
  for (const Entry& entry : summary.entries) {
    if (entry.verdict == Verdict::kFailed) fmt::print("FAIL {}: {}\n", entry.name, entry.message);
  }
  for (const auto& [reason, times] : skips) fmt::print("SKIP {} x {}\n", times, reason);
  write_summary({.json = options.json_path}, summary);
  fmt::print("{}\n", closing_line(summary));
  return summary.count(Verdict::kFailed) == 0 ? kExitGood : kExitFailed;
}

}  // namespace hipforge::harness
