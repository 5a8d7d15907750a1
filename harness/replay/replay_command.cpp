#include "harness/replay/replay_command.h"

#include "harness/core/case.h"
#include "harness/core/device_info.h"
#include "harness/core/selection.h"
#include "harness/output/summary.h"
#include "harness/replay/recording.h"
#include "harness/replay/rerun.h"
#include "harness/system/exit_code.h"
#include "harness/system/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <future>
#include <iterator>
#include <map>
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
  std::string message;
  bool same_bits = false;              // as the recording
  std::optional<CaseResult> oracle{};  // its word on the case
};

bool is_op_of_case(const RecordedLaunch& launch) {
  return launch.origin && !launch.origin->made_inputs;
}

std::vector<Group> select_groups(const Recording& recording, const ReplayOptions& options) {
  const std::regex filter = parse_filter("--filter", options.filter);
  std::vector<Group> groups;
  for (const RecordedLaunch& launch : recording.launches) {
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

// nullopt where this build has no such case.
std::optional<Case> case_of(const RecordedOrigin& origin) {
  try {
    return find_case(origin.id);
  } catch (const Error&) {
    return std::nullopt;
  }
}

// The oracle's word on what a group left in its case's operands; nullopt where there is no such case.
std::optional<CaseResult> ask_oracle(const Group& group, const std::vector<Rerun>& reruns) {
  const RecordedOrigin& origin = *group.back()->origin;
  const std::optional<Case> test = case_of(origin);
  if (!test) return std::nullopt;
  try {
    PreparedCase prepared = test->prepare({group.back()->plan.target, origin.seed});
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
  bool all_same = true;
  for (std::size_t i = 0; i < group.size(); ++i) {
    constexpr Verdict kVerdicts[] = {Verdict::kPassed, Verdict::kFailed, Verdict::kSkipped};
    LaunchRecord& record = records.emplace_back(
        LaunchRecord{group[i], kVerdicts[static_cast<int>(reruns[i].outcome)], reruns[i].reason});
    const bool ran = reruns[i].outcome == Rerun::Outcome::kRan;
    if (ran && !group[i]->error.empty()) {
      record.message = "nothing to compare with, the recorded launch failed: " + group[i]->error;
    } else if (ran) {
      record.message = difference(recording, *group[i], reruns[i]);
      record.same_bits = record.message.empty();
    }
    all_ran = all_ran && ran;
    all_same = all_same && record.same_bits;
  }
  if (same_platform && all_same) return records;

  std::optional<CaseResult> oracle;
  if (all_ran && is_op_of_case(*group.back())) oracle = ask_oracle(group, reruns);
  for (LaunchRecord& record : records) {
    if (record.verdict != Verdict::kPassed) continue;
    const std::optional<RecordedOrigin>& origin = record.launch->origin;
    const bool must_be_same =
        record.launch->error.empty() && (same_platform || (origin && origin->made_inputs));
    record.oracle = oracle;
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
      if (!origin) {
        record.message += "; without a case there is no bound";
      } else if (!case_of(*origin)) {
        record.message += fmt::format("; case {} is not in this build", origin->id);
      }
    }
  }
  return records;
}

// A row a kernel, in the order of their first launches.
Sheet kernel_sheet(const std::vector<LaunchRecord>& records) {
  Sheet sheet{{"kernel", "launches", "failed", "skipped", "same bits", "share", "worst at"}, {}};
  std::vector<std::pair<std::string, std::vector<const LaunchRecord*>>> kernels;
  for (const LaunchRecord& record : records) group_of(kernels, record.launch->kernel).push_back(&record);
  for (const auto& [kernel, all] : kernels) {
    const LaunchRecord* worst = nullptr;
    for (const LaunchRecord* record : all) {
      if (!record->oracle) continue;
      if (worst == nullptr || record->oracle->worst_share >= worst->oracle->worst_share) worst = record;
    }
    const auto count = [&of = all](auto value, auto member) {
      return std::to_string(std::ranges::count(of, value, member));
    };
    sheet.rows.push_back({kernel, std::to_string(all.size()), count(Verdict::kFailed, &LaunchRecord::verdict),
                          count(Verdict::kSkipped, &LaunchRecord::verdict),
                          count(true, &LaunchRecord::same_bits),
                          worst == nullptr ? "-" : share_text(worst->oracle->worst_share, 3),
                          worst == nullptr ? "" : worst->launch->origin->id + " " + worst->oracle->where});
  }
  return sheet;
}

Entry entry_of(const LaunchRecord& record) {
  constexpr const char* kVerdicts[] = {"passed", "failed", "skipped"};
  const RecordedLaunch& launch = *record.launch;
  JsonFields fields{{"kernel", launch.kernel}};
  const auto add = [&](const JsonFields& more) { fields.insert(more.begin(), more.end()); };
  if (launch.origin)
    add({{"case", launch.origin->id}, {"op", launch.origin->op}, {"dtype", launch.origin->dtype}});
  add({{"target", launch.plan.target.architecture},
       {"wave", launch.plan.target.wave},
       {"verdict", kVerdicts[static_cast<int>(record.verdict)]},
       {"same_bits", record.same_bits}});
  if (record.oracle) add({{"worst_share", record.oracle->worst_share}, {"where", record.oracle->where}});
  if (!record.message.empty()) add({{"message", record.message}});
  std::string name = fmt::format("launch {} {}{}", launch.index, launch.kernel,
                                 launch.origin ? " of " + launch.origin->id : "");
  return {std::move(name), launch.kernel, record.verdict, 0.0, record.message, {}, std::move(fields)};
}

Summary replay_summary(const ReplayOptions& options, const Recording& recording,
                       const std::vector<LaunchRecord>& records,
                       const std::map<std::string, std::size_t>& skips) {
  const auto device = [](const std::string& platform, const std::string& name) {
    return JsonFields{{"platform", platform}, {"device", name}};
  };
  Summary summary;
  summary.head.emplace_back("recorded_on", device(recording.platform, recording.device));
  if (options.emulate.empty()) {
    const DeviceInfo info = device_info();
    summary.head.emplace_back("replayed_on", device(info.platform, info.name));
  } else {
    summary.head.emplace_back("emulated", options.emulate);
  }
  summary.head.emplace_back("skips", JsonFields(skips.begin(), skips.end()));  // how many by reason
  summary.rows = "launches";
  std::ranges::transform(records, std::back_inserter(summary.entries), entry_of);
  summary.groups = kernel_sheet(records);
  return summary;
}

// Launches one after another on the device, each for the target that it was planned for.
void replay_on_device(const Recording& recording, const std::vector<Group>& groups,
                      std::vector<LaunchRecord>& records) {
  Target device;
  throw_if_error(device_target(device));
  const bool same_platform =
      recording.platform == device_info().platform && recording.architecture == device.architecture;
  const std::unique_ptr<Rerunner> rerunner = make_device_rerunner();
  for (const Group& group : groups) {
    std::ranges::move(judge_group(recording, group, run_group(*rerunner, recording, group), same_platform),
                      std::back_inserter(records));
  }
}

// Groups on as many emulators as there are jobs; judged here, in order, as they come.
void replay_emulated(const Recording& recording, const std::vector<Group>& groups,
                     const ReplayOptions& options, std::vector<LaunchRecord>& records) {
  const Emulation emulation = find_emulation(options.emulate, options.code);
  const unsigned cores = std::max(1u, std::thread::hardware_concurrency());
  const std::size_t jobs = std::min<std::size_t>(options.jobs == 0 ? cores : options.jobs, groups.size());

  std::vector<std::promise<std::vector<Rerun>>> results(groups.size());
  std::atomic<std::size_t> next{0};
  const auto work = [&](const std::stop_token& stop) {
    std::unique_ptr<Rerunner> emulator;
    for (std::size_t at = next++; at < groups.size() && !stop.stop_requested(); at = next++) {
      try {
        if (!emulator) emulator = make_emulator(emulation);
        results[at].set_value(run_group(*emulator, recording, groups[at]));
      } catch (...) {
        results[at].set_exception(std::current_exception());
        return;
      }
    }
  };
  std::vector<std::jthread> threads;
  for (std::size_t i = 0; i < jobs; ++i) threads.emplace_back(work);

  Progress progress(groups.size());
  for (std::size_t at = 0; at < groups.size(); ++at) {
    std::ranges::move(judge_group(recording, groups[at], results[at].get_future().get(), false),
                      std::back_inserter(records));
    progress.step(groups[at].back()->kernel);
  }
}

}  // namespace

int run_replay(const ReplayOptions& options) {
  const Recording recording(options.folder);
  const std::vector<Group> groups = select_groups(recording, options);
  if (groups.empty()) throw UsageError("no launch matches");
  std::vector<LaunchRecord> records;
  if (options.emulate.empty()) {
    replay_on_device(recording, groups, records);
  } else {
    replay_emulated(recording, groups, options, records);
  }
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
