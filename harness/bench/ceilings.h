#pragma once

#include "harness/bench/bandwidth.h"
#include "harness/bench/timer.h"
#include "kernels/runtime/dtype.h"

#include <cstdint>
#include <map>
#include <string>
#include <utility>

namespace hipforge::harness {

/// A measured rate and what reached it.
struct Bandwidth {
  std::int64_t bytes = 0;  ///< moved by one launch, reads and writes together
  double gbps = 0.0;       ///< of the fastest way tried
  double low_gbps = 0.0;   ///< at the 90th percentile of its times
  double high_gbps = 0.0;  ///< at the 10th
  std::string how{};
};

/// A matrix rate: an 8,192³ product of normal data, repeated for two seconds.
struct MatrixRate {
  double own_tflops = 0.0;     ///< the linear op, any order of reduction; 0 where it cannot be had
  double vendor_tflops = 0.0;  ///< the vendor's library; 0 where there is none
  std::string own_note;        ///< why there is no figure, or empty
  std::string vendor_name;     ///< or why there is none
  [[nodiscard]] double tflops() const { return own_tflops > vendor_tflops ? own_tflops : vendor_tflops; }
};

/// What the current device is measured to reach; each figure is measured when first asked for, and kept.
class Ceilings {
 public:
  /// `quick` measures for a tenth of the time: to see that all works, not to be quoted.
  explicit Ceilings(bool quick = false) : quick_(quick) {}

  /// At that many bytes moved, over buffers that together exceed the last-level cache several times. Byte
  /// counts within half a percent share a measurement. Throws Error.
  const Bandwidth& bandwidth(Traffic traffic, std::int64_t bytes);
  /// f16 or bf16; throws Error where neither path runs.
  const MatrixRate& matrix(DType dtype);

 private:
  bool quick_;
  std::map<std::pair<Traffic, std::int64_t>, Bandwidth> bandwidths_;
  std::map<DType, MatrixRate> matrix_rates_;
};

}  // namespace hipforge::harness
