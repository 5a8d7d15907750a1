#pragma once

#include "harness/core/guard_buffer.h"
#include "harness/core/host_tensors.h"
#include "harness/core/inputs.h"
#include "kernels/runtime/recorder.h"
#include "kernels/runtime/status.h"
#include "kernels/runtime/tensor.h"

#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

namespace hipforge::harness {

/// How an operand lies in memory.
enum class Layout {
  kContiguous,  ///< row-major, 256-byte aligned
  kStrided,     ///< padded rows and outer axes, start misaligned by one element; the gaps are guarded too
};

[[nodiscard]] const char* layout_name(Layout layout);
/// For operands of both in one launch: whether rows are aligned is asked of each tensor apart.
[[nodiscard]] constexpr Layout other_layout(Layout layout) {
  return layout == Layout::kContiguous ? Layout::kStrided : Layout::kContiguous;
}

/// Whether a rig knows its operands on the host.
enum class HostCopy {
  kAll,   ///< every value, before and after: what a check wants
  kNone,  ///< made and judged on the device, and asked for samples: operands of gigabytes (benches)
};

/// The operands of one launch: each in a guarded buffer of its own, inputs filled on the device and known on
/// the host as doubles after rounding, outputs poisoned. After the launch, finish() proves that nothing was
/// written but outputs, and read() gets what was.
class Rig {
 public:
  Rig(std::uint64_t seed, hipStream_t stream, HostCopy host_copy = HostCopy::kAll)
      : seed_(seed), stream_(stream), host_copy_(host_copy) {}

  /// An input made on the device from the seed and a running tensor number.
  TensorView input(const std::string& name, DType dtype, const Shape& shape, Family family = Family::kNormal,
                   double scale = 1.0, Layout layout = Layout::kContiguous);
  /// An input of given values in row-major order, rounded to the dtype (i32: converted).
  TensorView input_values(const std::string& name, DType dtype, const Shape& shape,
                          std::span<const double> values, Layout layout = Layout::kContiguous);
  /// An output: every bit set (NaN; −1 for integers) before each launch.
  TensorView output(const std::string& name, DType dtype, const Shape& shape,
                    Layout layout = Layout::kContiguous);
  /// Of the operand that holds this view, these elements alone may change; an input's values are restored
  /// before each launch. Until it is called, all of an output may.
  void allow_writes(const TensorView& view);
  /// The device error word of the launch, zero before it and `expected` after it.
  std::uint32_t* error_word(std::uint32_t expected = 0);

  /// Row-major values of an operand as they were before the launch, after rounding.
  [[nodiscard]] const std::vector<double>& values(const std::string& name) const;
  [[nodiscard]] TensorView view(const std::string& name) const;
  /// Row-major values of any view into an operand: before the launch, after rounding; and as they are now.
  /// The first of an output is NaN.
  [[nodiscard]] std::vector<double> before(const TensorView& view) const;
  [[nodiscard]] std::vector<double> now(const TensorView& view) const;
  /// All operands by name with the address of their allocations, for a recorder.
  [[nodiscard]] std::vector<RecordedCase::Operand> operands() const;

  /// Poisons outputs, restores in-out operands and the error word, synchronises.
  Status reset();
  /// Synchronises (a kernel's fault surfaces here), then checks all guards, gaps and unchanged inputs.
  Status finish();
  /// Puts an operand's whole allocation, guards included, in the state that a launch elsewhere left it in.
  /// Throws Error{kInvalidArgument} that names both sizes where they differ.
  void restore(const std::string& name, std::span<const std::byte> allocation);
  /// Row-major values of an operand as they are now.
  [[nodiscard]] std::vector<double> read(const std::string& name) const { return now(view(name)); }
  [[nodiscard]] std::uint32_t read_error_word() const;
  [[nodiscard]] std::uint32_t expected_error_word() const { return expected_error_word_; }
  [[nodiscard]] std::uint64_t seed() const { return seed_; }
  [[nodiscard]] hipStream_t stream() const { return stream_; }

  /// How many elements of a contiguous float view are NaN or infinite now: no poison was left, no matter
  /// which elements are sampled.
  [[nodiscard]] std::uint64_t not_finite(const TensorView& view) const;

 private:
  struct Operand {
    std::string name;
    TensorView view;
    GuardBuffer buffer;
    std::vector<TensorView> written;  // what may change; nothing: an input
    bool narrowed = false;            // `written` is what allow_writes() named
    bool readable = false;
    std::vector<double> values;
    std::vector<std::byte> image;  // the whole payload before the launch, gaps included
    bool on_device = false;        // no image and no values: inputs have a checksum, outputs are poisoned
    std::uint64_t checksum = 0;
  };
  Operand& add(const std::string& name, DType dtype, const Shape& shape, Layout layout);
  TensorView known(Operand& operand);
  const Operand& find(const std::string& name) const;
  const Operand& holder(const TensorView& view) const;

  std::uint64_t seed_;
  hipStream_t stream_;
  HostCopy host_copy_;
  std::deque<Operand> operands_;
  bool has_error_word_ = false;
  std::uint32_t expected_error_word_ = 0;
};

}  // namespace hipforge::harness
