#include "harness/bench/devices_command.h"

#include "harness/bench/ceilings.h"
#include "harness/core/device_info.h"
#include "harness/output/summary.h"
#include "harness/system/exit_code.h"
#include "harness/system/file.h"
#include "kernels/runtime/check.h"
#include "kernels/runtime/device.h"

#include <fmt/format.h>

namespace hipforge::harness {
namespace {

double mib(std::int64_t bytes) {
  return static_cast<double>(bytes) / (1024.0 * 1024.0);
}

void print_details(int index, const DeviceDetails& details) {
  fmt::print("device {}: {}, {} platform\n", index, details.info.name, details.info.platform);
  fmt::print("  {}, {} multiprocessors, wave {}", details.architecture, details.multiprocessors,
             details.wave);
  if (details.core_clock_mhz > 0) fmt::print(", core up to {} MHz", details.core_clock_mhz);
  if (details.memory_clock_mhz > 0) fmt::print(", memory {} MHz", details.memory_clock_mhz);
  fmt::print("\n  memory {:.0f} MiB, {:.0f} MiB free; last-level cache {:.1f} MiB\n",
             mib(details.total_bytes), mib(details.free_bytes), mib(details.cache_bytes));
  fmt::print("  driver {}, runtime {}, compiler {}\n", details.driver, details.runtime,
             details.info.compiler);
}

JsonFields details_json(const DeviceDetails& details) {
  return {{"platform", details.info.platform},
          {"name", details.info.name},
          {"architecture", details.architecture},
          {"multiprocessors", details.multiprocessors},
          {"wave", details.wave},
          {"core_clock_mhz", details.core_clock_mhz},
          {"memory_clock_mhz", details.memory_clock_mhz},
          {"cache_bytes", details.cache_bytes},
          {"total_bytes", details.total_bytes},
          {"free_bytes", details.free_bytes},
          {"driver", details.driver},
          {"runtime", details.runtime},
          {"compiler", details.info.compiler}};
}

// Measures the current device, prints as it goes and adds to its row.
void measure(const DevicesOptions& options, JsonFields& row) {
  Ceilings ceilings(options.quick);
  std::vector<JsonFields> bandwidths;
  for (Traffic traffic : {Traffic::kCopy, Traffic::kRead, Traffic::kWrite}) {
    for (std::int64_t size : {16, 64, 256, 1024, 4096}) {  // MiB
      if (options.quick && size > 256) continue;
      const Bandwidth& found = ceilings.bandwidth(traffic, size << 20);
      fmt::print("  {:<6}{:>6} MiB moved {:>9.1f} GB/s  ({:.1f} to {:.1f}; {})\n", traffic_name(traffic),
                 size, found.gbps, found.low_gbps, found.high_gbps, found.how);
      bandwidths.push_back({{"traffic", traffic_name(traffic)},
                            {"bytes", found.bytes},
                            {"gbps", found.gbps},
                            {"low_gbps", found.low_gbps},
                            {"high_gbps", found.high_gbps},
                            {"how", found.how}});
    }
  }
  row.emplace_back("bandwidths", std::move(bandwidths));
  std::vector<JsonFields> rates;
  for (DType dtype : {DType::kF16, DType::kBF16}) {
    const MatrixRate& rate = ceilings.matrix(dtype);
    fmt::print("  matrix {:<5}{:>18.1f} TFLOP/s: linear {}; {}\n", dtype_name(dtype), rate.tflops(),
               rate.own_tflops > 0.0 ? fmt::format("{:.1f}", rate.own_tflops) : rate.own_note,
               rate.vendor_tflops > 0.0 ? fmt::format("{} {:.1f}", rate.vendor_name, rate.vendor_tflops)
                                        : rate.vendor_name);
    rates.push_back({{"dtype", dtype_name(dtype)},
                     {"tflops", rate.tflops()},
                     {"linear_tflops", rate.own_tflops},
                     {"linear_note", rate.own_note},
                     {"vendor_tflops", rate.vendor_tflops},
                     {"vendor", rate.vendor_name}});
  }
  row.emplace_back("matrix_rates", std::move(rates));
}

}  // namespace

int run_devices(const DevicesOptions& options) {
  int count = 0;
  throw_if_error(usable_devices(count));
  std::vector<JsonFields> devices;
  for (int index = 0; index < count; ++index) {
    HIPFORGE_HIP_CHECK(hipSetDevice(index));
    const DeviceDetails details = device_details();
    print_details(index, details);
    JsonFields row = details_json(details);
    if (kOnGpu) {
      measure(options, row);
    } else {
      fmt::print(
          "  no ceilings: this platform is an instrument for correctness, its times say nothing of a GPU\n");
    }
    devices.push_back(std::move(row));
  }
  HIPFORGE_HIP_CHECK(hipSetDevice(0));
  if (!options.json_path.empty()) {
    write_file(options.json_path, json_text({{"quick", options.quick}, {"devices", std::move(devices)}}));
  }
  return kExitGood;
}

}  // namespace hipforge::harness
