#include "harness/bench/bench.h"

#include "harness/candidate/candidate.h"
#include "harness/core/device_info.h"
#include "harness/core/selection.h"
#include "harness/system/host_memory.h"
#include "kernels/runtime/check.h"

#include <algorithm>

namespace hipforge::harness {
namespace {

constexpr int kMostCopies = 16;
// Below this the start of a launch is what is timed, of a kernel and of a ceiling alike: no share.
constexpr std::int64_t kLeastShareBytes = std::int64_t{16} << 20;
// A share above this is no speed but a mistake of one of the two measurements.
constexpr double kHighestShare = 1.03;

// Of a case's whole time, in blocks, what each of them still takes at least.
constexpr int kLeastBlockSamples = 5;
constexpr double kBlockWarmUpMs = 10.0;

TimerOptions options_of(Ceiling ceiling, const BenchSettings& settings) {
  TimerOptions options;
  // Arithmetic heats: what a device holds for a second is its rate, not what it does in the first moment.
  if (ceiling == Ceiling::kMatrix) {
    options = {.warm_up_ms = 100.0, .measure_ms = 1000.0, .most_samples = 2000};
  }
  if (!kOnGpu) options = {.warm_up_ms = 1.0, .measure_ms = 60.0, .least_samples = 5, .most_samples = 200};
  if (settings.seconds > 0.0) {
    options.measure_ms = 1e3 * settings.seconds;
  } else {
    options.most_samples = std::max(options.most_samples / settings.blocks, kLeastBlockSamples);
  }
  // The measuring is shared out; each block warms up for itself, the device being warm from the one before.
  options.measure_ms /= settings.blocks;
  if (settings.blocks > 1) {
    options.least_samples = std::min(options.least_samples, kLeastBlockSamples);
    if (ceiling != Ceiling::kMatrix) options.warm_up_ms = std::min(options.warm_up_ms, kBlockWarmUpMs);
  }
  return options;
}

bool memory_is_short() {
  const DeviceDetails device = device_details();
  const HostMemory host = host_memory();
  return device.free_bytes < device.total_bytes / 4 || host.available_mib < host.total_mib / 4;
}

// Launches on poisoned outputs and checks; throws Error where the result is wrong.
void check(PreparedCase& prepared, const Launch& launch, const char* when, Record& record) {
  throw_if_error(prepared.rig->reset());
  const Status status = launch(nullptr);
  record.unsupported = record.kernel == kCandidate && status.code == StatusCode::kUnsupported;
  if (record.unsupported) return;
  throw_if_error(status);
  const CaseResult result = check_case(prepared);
  if (!result.passed) throw Error(invalid_argument("wrong ", when, " timing: ", result.message));
  record.checked_elements = result.elements;
  record.worst_error = std::max(record.worst_error, result.worst_share);
}

}  // namespace

std::deque<Case> timed_cases(const std::vector<std::string>& ops) {
  std::deque<Case> cases;
  for (const OpSuite& suite : all_suites()) {
    if (!selected(ops, suite.op)) continue;
    cases.insert(cases.end(), suite.bench_cases.begin(), suite.bench_cases.end());
    if (!kOnGpu || !suite.large_cases) continue;
    for (Case& test : suite.large_cases(1)) cases.push_back(std::move(test));
  }
  return cases;
}

Bench::Operands Bench::prepare(const Case& test) const {
  CaseEnvironment environment;
  throw_if_error(device_target(environment.target));
  Operands made{&test, {}, std::vector<std::vector<Launch>>(kernels()), {}};
  made.copies.push_back(test.prepare(environment));
  const std::int64_t bytes = made.copies.front().bytes;
  const int count = rotation_copies(bytes, kMostCopies);
  for (int i = 1; i < count; ++i) made.copies.push_back(test.prepare(environment));
  for (const PreparedCase& copy : made.copies) {
    made.launches[0].push_back(copy.launch);
    if (kernels() == 2) made.launches[1].push_back(bind_candidate(*settings_.candidate, copy));
  }
  made.flush = cache_flush(bytes, count);
  return made;
}

Bench::Operands& Bench::operands_of(const Case& test) {
  if (const auto found = std::ranges::find(kept_, &test, &Operands::test); found != kept_.end())
    return *found;
  while (!kept_.empty() && memory_is_short()) kept_.pop_front();
  for (;;) {
    try {
      return kept_.emplace_back(prepare(test));
    } catch (const Error& error) {
      if (error.status().code != StatusCode::kOutOfMemory || kept_.empty()) throw;
      kept_.clear();
    }
  }
}

Record& Bench::record_of(const Case& test, std::size_t kernel) {
  const std::string whose = kernel == 0 ? "" : kCandidate;
  const auto found = std::ranges::find_if(
      records_, [&](const Record& record) { return record.id == test.id && record.kernel == whose; });
  if (found != records_.end()) return *found;
  Record& record = records_.emplace_back();
  record.id = test.id;
  record.op = test.op;
  record.dtype = dtype_name(test.dtype);
  record.shape = test.shape;
  record.kernel = whose;
  if (kernel == 0) {
    record.floor_share = test.floor_share;
    record.floor_tflops = test.floor_tflops;
  }
  return record;
}

void Bench::time(Operands& operands, std::size_t kernel, Record& record) const {
  for (PreparedCase& copy : operands.copies) throw_if_error(copy.rig->reset());
  record.add_block(time_launches(operands.launches[kernel], operands.flush,
                                 options_of(operands.copies.front().ceiling, settings_)));
}

// The share of a timed record's ceiling, where there is one for it.
void Bench::rate(Record& record, Ceiling ceiling, DType dtype) {
  if (!kOnGpu) return;
  if (ceiling == Ceiling::kMatrix) {
    if (dtype == DType::kF32) return;  // no matrix rate is defined for it
    record.ceiling = "matrix";
    record.ceiling_rate = ceilings_.matrix(dtype).tflops();
  } else if (record.bytes >= kLeastShareBytes) {
    const auto traffic = static_cast<Traffic>(ceiling);
    record.ceiling = traffic_name(traffic);
    record.ceiling_rate = ceilings_.bandwidth(traffic, record.bytes).gbps;
  }
}

void Bench::time_block(const Case& test) {
  for (std::size_t kernel = 0; kernel < kernels(); ++kernel) {
    if (record_of(test, kernel).ended()) return;
  }
  // False where a kernel failed or does not support the case: then nothing more is done with it.
  const auto each_kernel = [&](auto&& step) {
    for (std::size_t kernel = 0; kernel < kernels(); ++kernel) {
      Record& record = record_of(test, kernel);
      try {
        step(operands_of(test), kernel, record);
      } catch (const std::exception& error) {
        record.error = error.what();
        // A fault costs the device all its memory.
        kept_.clear();
        if (!recover_device()) {
          throw Error(failure(StatusCode::kHipError, "the device cannot go on after the fault of ",
                              record.name(), ": ", record.error));
        }
      }
      if (record.ended()) return false;
    }
    return true;
  };
  const std::size_t done = record_of(test, 0).blocks_us.size();
  if (done == 0 && !each_kernel([&](Operands& operands, std::size_t kernel, Record& record) {
        record.bytes = operands.copies.front().bytes;
        record.flops = operands.copies.front().flops;
        record.copies = static_cast<int>(operands.copies.size());
        record.cache_flushed = static_cast<bool>(operands.flush);
        check(operands.copies.front(), operands.launches[kernel].front(), "before", record);
      })) {
    return;
  }
  const bool timed = each_kernel([&](auto&... of_it) { time(of_it...); });
  if (!timed || static_cast<int>(done) + 1 < settings_.blocks) return;
  each_kernel([&](Operands& operands, std::size_t kernel, Record& record) {
    const Ceiling ceiling = operands.copies.front().ceiling;
    rate(record, ceiling, test.dtype);
    if (record.share() > kHighestShare) {
      ceilings_ = Ceilings();
      record.blocks_us.pop_back();
      time(operands, kernel, record);
      rate(record, ceiling, test.dtype);
    }
    check(operands.copies.back(), operands.launches[kernel].back(), "after", record);
    if (record.share() > kHighestShare) {
      throw Error(invalid_argument("measured twice at ", 100.0 * record.share(), " % of the ", record.ceiling,
                                   " ceiling of ", record.ceiling_rate, ": one of the two is wrong"));
    }
  });
  kept_.remove_if([&](const Operands& kept) { return kept.test == &test; });
}

}  // namespace hipforge::harness
