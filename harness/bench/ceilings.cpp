#include "harness/bench/ceilings.h"

#include "harness/bench/vendor_matmul.h"
#include "harness/core/case.h"
#include "kernels/runtime/check.h"
#include "kernels/runtime/device_buffer.h"

#include <fmt/format.h>

#include <algorithm>

namespace hipforge::harness {
namespace {

constexpr std::int64_t kGranule = 4096;
constexpr int kMostRotations = 64;
constexpr std::int64_t kMatrixSize = 8192;

// Byte counts that share a measurement: 1/256 of a power of two apart.
std::int64_t shared_bytes(std::int64_t bytes) {
  std::int64_t step = kGranule;
  while (step * 512 < bytes) step *= 2;
  return std::max((bytes + step / 2) / step, std::int64_t{1}) * step;
}

double rate_gbps(std::int64_t bytes, double milliseconds) {
  return static_cast<double>(bytes) * 1e-6 / milliseconds;
}

SampleSummary timed(std::span<const Launch> copies, const Launch& flush, const TimerOptions& options,
                    hipStream_t stream) {
  std::vector<double> samples_ms;
  throw_if_error(time_launches(copies, flush, options, stream, samples_ms));
  return summarize(std::move(samples_ms));
}

// The linear op's case of that size, free to sum in any order; none in a build without it.
std::optional<Case> matrix_case(DType dtype) {
  for (const OpSuite& suite : all_suites()) {
    if (suite.op != "linear") continue;
    for (const Case& test : suite.large_cases(1)) {
      if (test.dtype == dtype && test.shape == shape_name({kMatrixSize, kMatrixSize, kMatrixSize}) &&
          test.id.ends_with("any_order")) {
        return test;
      }
    }
  }
  return std::nullopt;
}

}  // namespace

const Bandwidth& Ceilings::bandwidth(Traffic traffic, std::int64_t bytes) {
  bytes = std::max(shared_bytes(bytes), kGranule);
  const auto key = std::make_pair(traffic, bytes);
  if (const auto found = bandwidths_.find(key); found != bandwidths_.end()) return found->second;

  const auto size = static_cast<std::size_t>(bytes);
  const std::size_t half = traffic == Traffic::kCopy ? size / 2 : size;
  const int copies = rotation_copies(bytes, kMostRotations);
  std::vector<DeviceBuffer> sources;
  std::vector<DeviceBuffer> destinations;
  for (int i = 0; i < copies; ++i) {
    sources.emplace_back(traffic == Traffic::kWrite ? std::size_t{0} : half);
    destinations.emplace_back(traffic == Traffic::kRead ? std::size_t{16} : half);
    if (sources.back().bytes() > 0) sources.back().fill(0x3c, stream_);
    destinations.back().fill(0, stream_);
  }
  const Launch flush = cache_flush(bytes, copies);
  // The runtime's own copy is one more way to copy.
  const int ways = kBandwidthVariants + (traffic == Traffic::kCopy ? 1 : 0);
  const auto launches_of = [&](int way) {
    std::vector<Launch> launches;
    for (int i = 0; i < copies; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const void* source = sources[at].data();
      void* destination = destinations[at].data();
      if (way < kBandwidthVariants) {
        launches.emplace_back(
            [=](hipStream_t stream) { return move_bytes(traffic, way, source, destination, size, stream); });
      } else {
        launches.emplace_back([=](hipStream_t stream) {
          return hip_status(hipMemcpyAsync(destination, source, half, hipMemcpyDeviceToDevice, stream),
                            "hipMemcpyAsync");
        });
      }
    }
    return launches;
  };
  std::vector<std::pair<double, int>> tried;
  for (int way = 0; way < ways; ++way) {
    const TimerOptions brief{.warm_up_ms = 1.0, .measure_ms = quick_ ? 0.5 : 4.0, .least_samples = 5};
    tried.emplace_back(timed(launches_of(way), flush, brief, stream_).median, way);
  }
  std::sort(tried.begin(), tried.end());
  Bandwidth best;
  best.traffic = traffic;
  best.bytes = bytes;
  constexpr std::size_t kFinalists = 2;
  for (std::size_t i = 0; i < std::min(kFinalists, tried.size()); ++i) {
    const int way = tried[i].second;
    const SampleSummary ms =
        timed(launches_of(way), flush, {.warm_up_ms = quick_ ? 1.0 : 10.0, .measure_ms = quick_ ? 2.0 : 80.0},
              stream_);
    const double gbps = rate_gbps(bytes, ms.median);
    if (gbps <= best.gbps) continue;
    best.gbps = gbps;
    best.low_gbps = rate_gbps(bytes, ms.high);
    best.high_gbps = rate_gbps(bytes, ms.low);
    best.how = way < kBandwidthVariants ? fmt::format("own kernel, variant {}", way) : "hipMemcpyAsync";
  }
  return bandwidths_.emplace(key, best).first->second;
}

const MatrixRate& Ceilings::matrix(DType dtype) {
  if (const auto found = matrix_rates_.find(dtype); found != matrix_rates_.end()) return found->second;
  MatrixRate rate;
  rate.dtype = dtype;
  const std::optional<Case> test = matrix_case(dtype);
  if (!test) {
    throw Error(unsupported("matrix rate: no linear case of 8192x8192x8192 in ", dtype_name(dtype)));
  }
  CaseEnvironment environment;
  environment.stream = stream_;
  throw_if_error(device_target(environment.target));
  PreparedCase prepared = test->prepare(environment);
  const TimerOptions options{
      .warm_up_ms = quick_ ? 10.0 : 100.0, .measure_ms = quick_ ? 200.0 : 2000.0, .most_samples = 100000};
  const auto tflops = [&](const Launch& run) {
    return static_cast<double>(prepared.flops) * 1e-9 / timed({&run, 1}, {}, options, stream_).median;
  };
  throw_if_error(prepared.rig->reset());
  throw_if_error(prepared.launch(stream_));
  if (const CaseResult result = check_case(prepared); !result.passed) {
    rate.own_note = "wrong: " + result.message;
  } else {
    rate.own_tflops = tflops(prepared.launch);
  }
  const VendorMatmul vendor = open_vendor_matmul();
  rate.vendor_name = vendor.name;
  if (vendor.run) {
    const Launch run = [&](hipStream_t stream) {
      return vendor.run(dtype, kMatrixSize, prepared.rig->view("x").data, prepared.rig->view("weight").data,
                        prepared.rig->view("y").data, stream);
    };
    // The very product that the op's own check accepts.
    throw_if_error(prepared.rig->reset());
    throw_if_error(run(stream_));
    if (const CaseResult result = check_case(prepared); !result.passed) {
      rate.vendor_name += ", wrong: " + result.message;
    } else {
      rate.vendor_tflops = tflops(run);
    }
  }
  if (rate.tflops() == 0.0) {
    throw Error(
        unsupported("matrix rate in ", dtype_name(dtype), ": ", rate.own_note, "; ", rate.vendor_name));
  }
  return matrix_rates_.emplace(dtype, rate).first->second;
}

}  // namespace hipforge::harness
