#include "harness/core/rig.h"

#include "harness/core/device_info.h"
#include "harness/core/scan.h"
#include "harness/core/tolerance.h"
#include "kernels/device/host_element.h"
#include "kernels/runtime/check.h"

#include <fmt/format.h>

#include <algorithm>

namespace hipforge::harness {
namespace {

constexpr const char* kErrorWord = "error_word";

// Gaps of a strided operand: along the rows an odd number, so that rows fall on every alignment class.
constexpr std::int64_t kRowGap = 3;
constexpr std::int64_t kOuterGap = 5;

TensorView make_view(DType dtype, const Shape& shape, Layout layout) {
  if (shape.size() > static_cast<std::size_t>(kMaxRank)) {
    throw Error(invalid_argument("rig: rank ", shape.size(), ", needs at most ", kMaxRank));
  }
  TensorView view;
  view.dtype = dtype;
  view.rank = static_cast<int>(shape.size());
  std::int64_t stride = 1;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    view.shape[axis] = shape[axis];
    view.strides[axis] = stride;
    stride *= std::max<std::int64_t>(shape[axis], 1);
    if (layout == Layout::kStrided) stride += axis + 1 == shape.size() ? kRowGap : kOuterGap;
  }
  view.elements = view.extent();
  return view;
}

// Of a view into an operand: the byte at which it begins in the operand's payload.
std::size_t first_byte(const GuardBuffer& buffer, const TensorView& view) {
  return static_cast<std::size_t>(static_cast<std::byte*>(view.data) -
                                  static_cast<std::byte*>(buffer.data()));
}

std::vector<double> gather(const TensorView& view, std::span<const std::byte> payload, std::size_t begin) {
  std::vector<double> values(static_cast<std::size_t>(view.numel()));
  const std::size_t size = dtype_size(view.dtype);
  for_each_element(view, [&](std::size_t index, std::size_t offset) {
    values[index] = load_element(view.dtype, payload.data() + begin + offset * size);
  });
  return values;
}

}  // namespace

const char* layout_name(Layout layout) {
  return layout == Layout::kContiguous ? "contiguous" : "strided";
}

Rig::Operand& Rig::add(const std::string& name, DType dtype, const Shape& shape, Layout layout) {
  if (std::ranges::find(operands_, name, &Operand::name) != operands_.end()) {
    throw Error(invalid_argument("rig: operand ", name, " made twice"));
  }
  Operand operand;
  operand.name = name;
  operand.view = make_view(dtype, shape, layout);
  const std::size_t lead = layout == Layout::kStrided ? dtype_size(dtype) : 0;
  operand.buffer = GuardBuffer(lead + static_cast<std::size_t>(operand.view.elements) * dtype_size(dtype));
  operand.view.data = static_cast<std::byte*>(operand.buffer.data()) + lead;
  return operands_.emplace_back(std::move(operand));
}

const Rig::Operand& Rig::find(const std::string& name) const {
  const auto at = std::ranges::find(operands_, name, &Operand::name);
  if (at == operands_.end()) throw Error(invalid_argument("rig: no operand ", name));
  return *at;
}

const Rig::Operand& Rig::holder(const TensorView& view) const {
  const auto* const at = static_cast<const std::byte*>(view.data);
  for (const Operand& operand : operands_) {
    const auto* const begin = static_cast<const std::byte*>(operand.buffer.data());
    if (at >= begin && at < begin + std::max<std::size_t>(operand.buffer.bytes(), 1)) return operand;
  }
  throw Error(invalid_argument("rig: a view of shape ", view.shape_text(), " lies in no operand"));
}

TensorView Rig::input(const std::string& name, DType dtype, const Shape& shape, Family family, double scale,
                      Layout layout) {
  const std::uint64_t tensor_id = operands_.size();
  Operand& operand = add(name, dtype, shape, layout);
  throw_if_error(fill(operand.view, family, scale, seed_, tensor_id, stream_));
  HIPFORGE_HIP_CHECK(hipStreamSynchronize(stream_));
  if (host_copy_ == HostCopy::kNone) {
    operand.on_device = true;
    operand.checksum = checksum(operand.buffer.data(), operand.buffer.bytes(), stream_);
    return operand.view;
  }
  operand.image = operand.buffer.download();
  return known(operand);
}

TensorView Rig::input_values(const std::string& name, DType dtype, const Shape& shape,
                             std::span<const double> values, Layout layout) {
  Operand& operand = add(name, dtype, shape, layout);
  if (static_cast<std::int64_t>(values.size()) != operand.view.numel()) {
    throw Error(invalid_argument("rig: operand ", name, " of shape ", operand.view.shape_text(), " got ",
                                 values.size(), " values"));
  }
  operand.image.assign(operand.buffer.bytes(), std::byte{0xff});
  const bool narrow = dtype_is_float(dtype) && dtype != DType::kF32;
  std::byte* const start = operand.image.data() + first_byte(operand.buffer, operand.view);
  for_each_element(operand.view, [&](std::size_t index, std::size_t offset) {
    // Rounded once, in double: of f32 a narrower dtype would be rounded twice.
    store_element(dtype, narrow ? round_to_dtype(dtype, values[index]) : values[index],
                  start + offset * dtype_size(dtype));
  });
  operand.buffer.upload(operand.image);
  return known(operand);
}

TensorView Rig::known(Operand& operand) {
  operand.readable = true;
  operand.values = gather(operand.view, operand.image, first_byte(operand.buffer, operand.view));
  return operand.view;
}

TensorView Rig::output(const std::string& name, DType dtype, const Shape& shape, Layout layout) {
  Operand& operand = add(name, dtype, shape, layout);
  operand.written = {operand.view};
  operand.on_device = host_copy_ == HostCopy::kNone;
  if (!operand.on_device) operand.image.assign(operand.buffer.bytes(), std::byte{0xff});
  return operand.view;
}

void Rig::allow_writes(const TensorView& view) {
  if (view.numel() == 0) return;
  auto& operand = const_cast<Operand&>(holder(view));
  if (operand.on_device && operand.written.empty()) {
    throw Error(
        invalid_argument("rig: operand ", operand.name, " cannot be restored, it has no copy on the host"));
  }
  if (!operand.narrowed) operand.written.clear();
  operand.narrowed = true;
  operand.written.push_back(view);
}

std::uint32_t* Rig::error_word(std::uint32_t expected) {
  expected_error_word_ = expected;
  if (!has_error_word_) {
    const double zero = 0.0;
    allow_writes(input_values(kErrorWord, DType::kU32, {1}, {&zero, 1}));
    has_error_word_ = true;
  }
  return find(kErrorWord).view.as<std::uint32_t>();
}

const std::vector<double>& Rig::values(const std::string& name) const {
  const Operand& operand = find(name);
  if (!operand.readable) throw Error(invalid_argument("rig: operand ", name, " has no values on the host"));
  return operand.values;
}

TensorView Rig::view(const std::string& name) const {
  return find(name).view;
}

std::vector<double> Rig::before(const TensorView& view) const {
  if (view.numel() == 0) return {};
  const Operand& operand = holder(view);
  // An input of gigabytes is what it was: finish() holds it to its checksum.
  if (operand.on_device) return now(view);
  return gather(view, operand.image, first_byte(operand.buffer, view));
}

std::vector<double> Rig::now(const TensorView& view) const {
  if (view.numel() == 0) return {};
  const Operand& operand = holder(view);
  if (!operand.on_device) return gather(view, operand.buffer.download(), first_byte(operand.buffer, view));
  std::vector<std::int64_t> offsets(static_cast<std::size_t>(view.numel()));
  for_each_element(view, [&](std::size_t index, std::size_t offset) {
    offsets[index] = static_cast<std::int64_t>(offset);
  });
  const TensorView packed = make_view(view.dtype, shape_of(view), Layout::kContiguous);
  return gather(packed, gather_elements(view, offsets, stream_), 0);
}

std::vector<RecordedCase::Operand> Rig::operands() const {
  std::vector<RecordedCase::Operand> operands;
  for (const Operand& operand : operands_) {
    operands.push_back({operand.name, reinterpret_cast<std::uintptr_t>(operand.buffer.allocation().data())});
  }
  return operands;
}

void Rig::restore(const std::string& name, std::span<const std::byte> allocation) {
  auto& buffer = const_cast<GuardBuffer&>(find(name).buffer);
  if (allocation.size() != buffer.allocation().bytes()) {
    throw Error(invalid_argument("rig: operand ", name, " has an allocation of ", buffer.allocation().bytes(),
                                 " bytes here, the contents have ", allocation.size()));
  }
  buffer.restore(allocation);
}

Status Rig::reset() {
  for (Operand& operand : operands_) {
    if (operand.written.empty()) continue;
    if (operand.on_device) {
      operand.buffer.poison(stream_);
    } else {
      operand.buffer.upload(operand.image);
    }
    // Poison is nothing that a kernel may read.
    if (!operand.readable) forget_contents(operand.buffer.data(), operand.buffer.bytes());
  }
  HIPFORGE_HIP_TRY(hipStreamSynchronize(stream_));
  return {};
}

Status Rig::finish() {
  HIPFORGE_HIP_TRY(hipStreamSynchronize(stream_));
  HIPFORGE_HIP_TRY(hipDeviceSynchronize());
  for (const Operand& operand : operands_) {
    const auto damaged = [&operand](const auto&... what) {
      return failure(StatusCode::kInvalidArgument, "operand ", operand.name, what...);
    };
    if (const std::string damage = operand.buffer.check(); !damage.empty()) return damaged(": ", damage);
    const bool is_input = operand.written.empty();
    const std::string what = fmt::format(" of shape {}: {} was written", operand.view.shape_text(),
                                         is_input ? "an input" : "a gap between its rows");
    if (operand.on_device) {
      if (is_input && checksum(operand.buffer.data(), operand.buffer.bytes(), stream_) != operand.checksum) {
        return damaged(what);
      }
      continue;
    }
    const std::vector<std::byte> now = operand.buffer.download();
    std::vector<std::byte> before = operand.image;
    // What may change is taken out of the comparison: the rest is gaps.
    for (const TensorView& view : operand.written) {
      const std::size_t size = dtype_size(view.dtype);
      const std::size_t begin = first_byte(operand.buffer, view);
      for_each_element(view, [&](std::size_t, std::size_t offset) {
        std::copy_n(now.data() + begin + offset * size, size, before.data() + begin + offset * size);
      });
    }
    const auto at = std::ranges::mismatch(now, before).in1;
    if (at != now.end()) return damaged(what, ", byte ", at - now.begin());
  }
  return {};
}

std::uint64_t Rig::not_finite(const TensorView& view) const {
  return count_not_finite(view, stream_);
}

std::uint32_t Rig::read_error_word() const {
  return has_error_word_ ? static_cast<std::uint32_t>(read(kErrorWord)[0]) : 0;
}

}  // namespace hipforge::harness
