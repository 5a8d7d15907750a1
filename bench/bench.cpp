#include "bench/bench.h"

#include "harness/core/case.h"
#include "harness/core/device_info.h"
#include "kernels/runtime/check.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <deque>
#include <map>

namespace hipforge::bench {
namespace {

using harness::Ceiling;
using harness::Launch;
using harness::PreparedCase;

constexpr int kMostCopies = 16;
// Below this the start of a launch is what is timed, of a kernel and of a ceiling alike: no share.
constexpr std::int64_t kLeastShareBytes = std::int64_t{16} << 20;
// A share above this is no speed but a mistake of one of the two measurements.
constexpr double kHighestShare = 1.03;

// Of a case's whole time, in blocks, what each of them still takes at least.
constexpr int kLeastBlockSamples = 5;
constexpr double kBlockWarmUpMs = 10.0;

struct Timed {
  std::deque<Record> records;
  std::map<std::string, Record*> by_id;
  int blocks = 1;
};

Timed& timed() {
  static Timed all;
  return all;
}

harness::Ceilings& ceilings() {
  static harness::Ceilings measured(nullptr);
  return measured;
}

harness::TimerOptions options_of(const PreparedCase& prepared, int blocks) {
#if defined(HIPFORGE_PLATFORM_CPU)
  harness::TimerOptions options{
      .warm_up_ms = 1.0, .measure_ms = 60.0, .least_samples = 5, .most_samples = 200};
#else
  harness::TimerOptions options;
  // Arithmetic heats: what a device holds for a second is its rate, not what it does in the first moment.
  if (prepared.ceiling == Ceiling::kMatrix) {
    options = {.warm_up_ms = 100.0, .measure_ms = 1000.0, .most_samples = 2000};
  }
#endif
  // The measuring is shared out; each block warms up for itself, the device being warm from the one before.
  options.measure_ms /= blocks;
  options.most_samples = std::max(options.most_samples / blocks, kLeastBlockSamples);
  if (blocks > 1) {
    options.least_samples = std::min(options.least_samples, kLeastBlockSamples);
    if (prepared.ceiling != Ceiling::kMatrix)
      options.warm_up_ms = std::min(options.warm_up_ms, kBlockWarmUpMs);
  }
  return options;
}

// Launches on poisoned outputs and checks; throws Error where the result is wrong.
void launch_and_check(PreparedCase& prepared, const char* when, Record& record) {
  throw_if_error(prepared.rig->reset());
  throw_if_error(prepared.launch(nullptr));
  const harness::CaseResult result = harness::check_case(prepared);
  if (!result.passed) throw Error(invalid_argument("wrong ", when, " timing: ", result.message));
  record.checked_elements = result.elements;
  record.worst_error = std::max(record.worst_error, result.worst_share);
}

harness::Traffic traffic_of(Ceiling ceiling) {
  return ceiling == Ceiling::kCopy   ? harness::Traffic::kCopy
         : ceiling == Ceiling::kRead ? harness::Traffic::kRead
                                     : harness::Traffic::kWrite;
}

// Sets the rates of a timed record, and its share where there is a ceiling for it.
void rate(Record& record, Ceiling ceiling) {
  record.gbps = static_cast<double>(record.bytes) * 1e-6 / record.timing.median_ms;
  record.tflops = static_cast<double>(record.flops) * 1e-9 / record.timing.median_ms;
  record.ceiling.clear();
#if !defined(HIPFORGE_PLATFORM_CPU)
  if (ceiling == Ceiling::kMatrix) {
    if (record.test->dtype == DType::kF32) return;  // no matrix rate is defined for it
    record.ceiling = "matrix";
    record.ceiling_rate = ceilings().matrix(record.test->dtype).tflops();
    record.share = record.tflops / record.ceiling_rate;
    return;
  }
  if (record.bytes < kLeastShareBytes) return;
  const harness::Traffic traffic = traffic_of(ceiling);
  record.ceiling = harness::traffic_name(traffic);
  record.ceiling_rate = ceilings().bandwidth(traffic, record.bytes).gbps;
  record.share = record.gbps / record.ceiling_rate;
#else
  (void)ceiling;
#endif
}

void forget_ceiling(const Record& record, Ceiling ceiling) {
  if (ceiling == Ceiling::kMatrix) {
    ceilings().forget(record.test->dtype);
  } else {
    ceilings().forget(traffic_of(ceiling), record.bytes);
  }
}

void take_block(Record& record, const harness::Timing& timing) {
  record.blocks_ms.push_back(timing.samples_ms);
  join_blocks(record);
}

// One block of a case; its result is checked before the first and after the last.
void time_block(Record& record, int blocks) {
  harness::CaseEnvironment environment;
  throw_if_error(device_target(environment.target));
  const bool first = record.blocks_ms.empty();
  const bool last = static_cast<int>(record.blocks_ms.size()) + 1 == blocks;
  {
    std::vector<PreparedCase> copies;
    copies.push_back(record.test->prepare(environment));
    const Ceiling ceiling = copies.front().ceiling;
    record.bytes = copies.front().bytes;
    record.flops = copies.front().flops;
    record.copies = harness::rotation_copies(record.bytes, kMostCopies);
    if (first) {
      launch_and_check(copies.front(), "before", record);
    } else {
      throw_if_error(copies.front().rig->reset());
    }
    for (int i = 1; i < record.copies; ++i) {
      copies.push_back(record.test->prepare(environment));
      throw_if_error(copies.back().rig->reset());
    }
    std::vector<Launch> launches;
    for (const PreparedCase& copy : copies) launches.push_back(copy.launch);
    const Launch flush = harness::cache_flush(record.bytes, record.copies);
    record.flushed = static_cast<bool>(flush);
    const harness::TimerOptions options = options_of(copies.front(), blocks);
    harness::Timing timing;
    throw_if_error(harness::time_launches(launches, flush, options, nullptr, timing));
    take_block(record, timing);
    if (!last) return;
    rate(record, ceiling);
    if (record.share > kHighestShare) {
      forget_ceiling(record, ceiling);
      throw_if_error(harness::time_launches(launches, flush, options, nullptr, timing));
      record.blocks_ms.pop_back();
      take_block(record, timing);
      rate(record, ceiling);
    }
    launch_and_check(copies.back(), "after", record);
  }
  if (record.share > kHighestShare) {
    throw Error(invalid_argument("measured twice at ", 100.0 * record.share, " % of the ", record.ceiling,
                                 " ceiling of ", record.ceiling_rate, ": one of the two is wrong"));
  }
}

Record& record_of(const harness::Case& test) {
  Record*& record = timed().by_id[test.id];
  if (record == nullptr) {
    record = &timed().records.emplace_back();
    record->test = &test;
  }
  return *record;
}

void run_case(benchmark::State& state, const harness::Case& test) {
  Record& record = record_of(test);
  if (record.error.empty()) {
    try {
      time_block(record, timed().blocks);
    } catch (const std::exception& error) {
      record.error = error.what();
      (void)harness::recover_device();
    }
  }
  // The samples are the timer's; Google Benchmark is told their median.
  for (auto _ : state) state.SetIterationTime(std::max(record.timing.median_ms * 1e-3, 1e-9));
  if (!record.error.empty()) state.SkipWithError(record.error.c_str());
}

void register_case(const harness::Case& test) {
  benchmark::RegisterBenchmark(test.id.c_str(), [&test](benchmark::State& state) { run_case(state, test); })
      ->UseManualTime()
      ->Iterations(1)
      ->Unit(benchmark::kMicrosecond);
}

}  // namespace

int register_op(const std::string& op) {
  int count = 0;
  for (const harness::OpSuite& suite : harness::all_suites()) {
    if (suite.op != op) continue;
    for (const harness::Case& test : suite.bench_cases) {
      register_case(test);
      ++count;
    }
#if !defined(HIPFORGE_PLATFORM_CPU)
    static std::deque<harness::Case> large_cases;
    for (harness::Case& test : suite.large_cases ? suite.large_cases(1) : std::vector<harness::Case>{}) {
      register_case(large_cases.emplace_back(std::move(test)));
      ++count;
    }
#endif
  }
  return count;
}

void set_blocks(int blocks) {
  timed().blocks = blocks;
}

const std::deque<Record>& records() {
  return timed().records;
}

const Record* find_record(const std::string& id) {
  const auto found = timed().by_id.find(id);
  return found == timed().by_id.end() ? nullptr : found->second;
}

}  // namespace hipforge::bench
