#include "harness/ops/softmax.h"

#include "harness/core/tolerance.h"
#include "harness/sweep/families.h"
#include "harness/sweep/variants.h"
#include "reference/softmax.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace hipforge::harness {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

enum class MaskKind { kNone, kF32, kX };

// What x holds where it is not one of the families.
enum class Special {
  kNone,
  kLarge,
  kNonFinite,
  kBehindMask,  // NaN and infinities where the mask or the causal limit removes, and nowhere else
  kExact,       // multiples of 128: a few share the row, the others are 0
  kCancel,      // large scores that the mask takes back
};

struct Spec {
  std::int64_t batch = 1;
  std::int64_t heads = 1;
  std::int64_t rows = 1;
  std::int64_t cols = 1;
  DType dtype = DType::kF32;
  Layout layout = Layout::kContiguous;
  float scale = 1.0f;
  bool causal = false;
  std::int64_t causal_offset = 0;
  MaskKind mask = MaskKind::kNone;
  std::array<bool, 3> mask_broadcast{};  // batch, heads, rows
  bool empty_rows = false;               // the mask takes every third row away
  EmptyRow empty_row = EmptyRow::kZero;
  bool in_place = false;
  Family family = Family::kNormal;
  Special special = Special::kNone;
  bool quick = false;
};

// Elements that a wave of 32 lanes takes at once, and the rows of its block.
constexpr std::int64_t kTileCols = 32 * 8;
constexpr std::int64_t kTileRows = 4;
// Above this a row is read in several chunks, whatever the wave.
constexpr std::int64_t kRegisterCols = 16384;

const char* policy_name(EmptyRow policy) {
  switch (policy) {
    case EmptyRow::kZero:
      return "empty_zero";
    case EmptyRow::kUniform:
      return "empty_uniform";
    case EmptyRow::kNaN:
      return "empty_nan";
  }
  return "";
}

bool has_empty_rows(const Spec& spec) {
  return spec.empty_rows || (spec.causal && spec.causal_offset < 0);
}

std::vector<std::string> features_of(const Spec& spec) {
  std::vector<std::string> features;
  if (spec.scale != 1.0f) features.emplace_back("scale");
  if (spec.causal) features.emplace_back("causal");
  if (spec.mask == MaskKind::kF32 || (spec.mask == MaskKind::kX && spec.dtype == DType::kF32)) {
    features.emplace_back("mask_f32");
  }
  if (spec.mask == MaskKind::kX || (spec.mask == MaskKind::kF32 && spec.dtype == DType::kF32)) {
    features.emplace_back("mask_x_dtype");
  }
  if (spec.mask_broadcast != std::array<bool, 3>{}) features.emplace_back("mask_broadcast");
  if (spec.causal && spec.mask != MaskKind::kNone) features.emplace_back("causal_and_mask");
  if (has_empty_rows(spec)) features.emplace_back(policy_name(spec.empty_row));
  if (spec.in_place) features.emplace_back("in_place");
  if (spec.cols > kRegisterCols) features.emplace_back("long_rows");
  if (spec.special == Special::kLarge) features.emplace_back("large");
  if (spec.special == Special::kNonFinite) features.emplace_back("non_finite");
  if (spec.special == Special::kBehindMask) features.emplace_back("nan_behind_mask");
  if (spec.special == Special::kExact) features.emplace_back("integers");
  if (spec.special == Special::kCancel) features.emplace_back("cancel");
  if (spec.family != Family::kNormal) features.emplace_back(family_name(spec.family));
  if (features.empty()) features.emplace_back("plain");
  return features;
}

std::vector<std::string> families_of(const Spec& spec) {
  std::vector<std::string> families;
  switch (spec.special) {
    case Special::kNone:
      families.emplace_back(input_family(spec.family));
      break;
    case Special::kLarge:
      families.emplace_back("large");
      break;
    case Special::kNonFinite:
      families.emplace_back("non_finite");
      break;
    case Special::kBehindMask:
      families.emplace_back("nan_behind_mask");
      break;
    case Special::kExact:
      families.emplace_back("integers");
      break;
    case Special::kCancel:
      families.emplace_back("cancel");
      break;
  }
  if (has_empty_rows(spec)) families.emplace_back("masked_rows");
  const bool removes = spec.mask != MaskKind::kNone && spec.special != Special::kCancel;
  if (removes || spec.special == Special::kNonFinite) {
    families.emplace_back("minus_infinity");
  }
  return families;
}

// A number in [0, 1) of (seed, index), for values that are made on the host.
double draw(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t bits = (seed << 32) + index + 0x9e3779b97f4a7c15u;
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
  return static_cast<double>((bits ^ (bits >> 31)) >> 11) * 0x1p-53;
}

// Additive mask: a third of it −inf, each third row all of it where empty rows are wanted.
std::vector<double> mask_values(const Spec& spec, std::uint64_t seed, const Shape& shape) {
  const std::int64_t count = shape[0] * shape[1] * shape[2];
  std::vector<double> values(static_cast<std::size_t>(count * shape[3]));
  for (std::int64_t row = 0; row < count; ++row) {
    for (std::int64_t col = 0; col < spec.cols; ++col) {
      const auto at = static_cast<std::size_t>(row * spec.cols + col);
      const double drawn = draw(seed + 77, at);
      const bool removed = drawn < 1.0 / 3.0 || (spec.empty_rows && row % 3 == 1);
      values[at] = removed ? -kInfinity : 6.0 * drawn - 4.0;
    }
  }
  return values;
}

// Scores of ±1e30: rows all of the lowest, rows of several of the highest among others, rows of ordinary ones
// among the lowest. In f16, which ends at 65,504, `scale` carries the magnitude.
std::vector<double> large_values(const Spec& spec, std::uint64_t seed) {
  const double top = spec.dtype == DType::kF16 ? 12800.0 : 1e30;
  const std::int64_t rows = spec.batch * spec.heads * spec.rows;
  std::vector<double> values(static_cast<std::size_t>(rows * spec.cols));
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t col = 0; col < spec.cols; ++col) {
      const auto at = static_cast<std::size_t>(row * spec.cols + col);
      const double drawn = draw(seed, at);
      const double other = drawn < 0.5 ? top : drawn < 0.75 ? -top : 0.75 * top;
      const double low = drawn < 0.5 ? -top : 0.0;
      values[at] = row % 3 == 0 ? -top : row % 3 == 1 ? other : low;
    }
  }
  return values;
}

// In turn: a row with +inf, with NaN, with −inf, an ordinary one, one of −inf alone, one of NaN and −inf.
std::vector<double> non_finite_values(const Spec& spec, std::uint64_t seed) {
  const std::int64_t rows = spec.batch * spec.heads * spec.rows;
  std::vector<double> values(static_cast<std::size_t>(rows * spec.cols));
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t col = 0; col < spec.cols; ++col) {
      const auto at = static_cast<std::size_t>(row * spec.cols + col);
      const double drawn = draw(seed, at);
      const double ordinary = 8.0 * drawn - 4.0;
      const bool hit = drawn < 0.1 || col == spec.cols / 2;
      const double by_turn[] = {hit ? kInfinity : ordinary,
                                hit ? kNaN : ordinary,
                                hit ? -kInfinity : ordinary,
                                ordinary,
                                -kInfinity,
                                hit ? kNaN : -kInfinity};
      values[at] = by_turn[row % 6];
    }
  }
  return values;
}

// Half the columns of a row at most share the largest value, the others lie 128 and more below it.
std::vector<double> exact_values(const Spec& spec, std::uint64_t seed) {
  std::vector<double> values(static_cast<std::size_t>(spec.batch * spec.heads * spec.rows * spec.cols));
  for (std::size_t at = 0; at < values.size(); ++at) {
    const auto col = static_cast<std::int64_t>(at) % spec.cols;
    // 1, 2, 4 or 8 of the columns, spread over the row.
    const std::int64_t peaks = std::int64_t{1} << (static_cast<std::int64_t>(at) / spec.cols % 4);
    const std::int64_t apart = std::max<std::int64_t>(spec.cols / peaks, 1);
    const bool is_peak = col % apart == apart / 2 && col / apart < peaks;
    values[at] = is_peak ? 256.0 : -128.0 * std::floor(3.0 * draw(seed, at));
  }
  return values;
}

// Ordinary scores; NaN and infinities in turn where `mask` or the causal limit removes the element.
std::vector<double> behind_mask_values(const Spec& spec, std::uint64_t seed, std::span<const double> mask) {
  const double planted[] = {kNaN, kInfinity, -kInfinity};
  std::vector<double> values(static_cast<std::size_t>(spec.batch * spec.heads * spec.rows * spec.cols));
  for (std::size_t at = 0; at < values.size(); ++at) {
    const auto col = static_cast<std::int64_t>(at) % spec.cols;
    const std::int64_t row = static_cast<std::int64_t>(at) / spec.cols % spec.rows;
    const bool removed =
        (!mask.empty() && mask[at] == -kInfinity) || (spec.causal && col > row + spec.causal_offset);
    values[at] = removed ? planted[at % 3] : 8.0 * draw(seed, at) - 4.0;
  }
  return values;
}

// What leaves of `scale · x` as little as its last bits.
std::vector<double> cancelling_mask(const Spec& spec, const std::vector<double>& x) {
  std::vector<double> values;
  for (std::size_t at = 0; at < x.size(); ++at) {
    values.push_back(-static_cast<double>(spec.scale) * x[at] *
                     (1.0 + 0x1p-10 * static_cast<double>(at % 7)));
  }
  return values;
}

TensorView make_x(Rig& rig, const Spec& spec, std::uint64_t seed) {
  const Shape shape{spec.batch, spec.heads, spec.rows, spec.cols};
  if (spec.special == Special::kLarge) {
    return rig.input_values("x", spec.dtype, shape, large_values(spec, seed), spec.layout);
  }
  if (spec.special == Special::kNonFinite) {
    return rig.input_values("x", spec.dtype, shape, non_finite_values(spec, seed), spec.layout);
  }
  if (spec.special == Special::kExact) {
    return rig.input_values("x", spec.dtype, shape, exact_values(spec, seed), spec.layout);
  }
  if (spec.special == Special::kBehindMask) {
    const std::vector<double> mask =
        spec.mask == MaskKind::kNone ? std::vector<double>() : mask_values(spec, seed, shape);
    return rig.input_values("x", spec.dtype, shape, behind_mask_values(spec, seed, mask), spec.layout);
  }
  const double scale = spec.special == Special::kCancel ? 300.0 : spec.family == Family::kNormal ? 3.0 : 1.0;
  return rig.input("x", spec.dtype, shape, spec.family, scale, spec.layout);
}

PreparedCase prepare(const Spec& spec, const CaseEnvironment& environment) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
  Rig& rig = *prepared.rig;
  SoftmaxParams params;
  params.x = make_x(rig, spec, environment.seed);
  params.scale = spec.scale;
  params.causal = spec.causal;
  params.causal_offset = spec.causal_offset;
  params.empty_row = spec.empty_row;
  if (spec.in_place) {
    rig.make_inout("x");
    params.y = params.x;
  } else {
    params.y = rig.output("y", spec.dtype, {spec.batch, spec.heads, spec.rows, spec.cols}, spec.layout);
  }
  SoftmaxInputs inputs;
  if (spec.mask != MaskKind::kNone) {
    const std::array<std::int64_t, 3> sizes{spec.batch, spec.heads, spec.rows};
    for (std::size_t axis = 0; axis < 3; ++axis)
      inputs.mask_shape[axis] = spec.mask_broadcast[axis] ? 1 : sizes[axis];
    const Shape shape{inputs.mask_shape[0], inputs.mask_shape[1], inputs.mask_shape[2], spec.cols};
    const DType dtype = spec.mask == MaskKind::kF32 ? DType::kF32 : spec.dtype;
    params.mask =
        rig.input_values("mask", dtype, shape,
                         spec.special == Special::kCancel ? cancelling_mask(spec, rig.values("x"))
                                                          : mask_values(spec, environment.seed, shape),
                         spec.layout);
  }
  inputs.batch = spec.batch;
  inputs.heads = spec.heads;
  inputs.rows = spec.rows;
  inputs.cols = spec.cols;
  inputs.scale = static_cast<double>(spec.scale);
  inputs.causal = spec.causal;
  inputs.causal_offset = spec.causal_offset;
  inputs.empty_row = spec.empty_row;
  inputs.dtype = spec.dtype;
  const auto bytes_of = [](const TensorView& view) {
    return view.numel() * static_cast<std::int64_t>(dtype_size(view.dtype));
  };
  prepared.bytes = bytes_of(params.x) + bytes_of(params.y) + bytes_of(params.mask);
  prepared.flops = 5 * params.x.numel();
  prepared.params = params;
  prepared.launch = [params, target = environment.target](hipStream_t stream) {
    return softmax(params, stream, target);
  };
  prepared.expect = [spec, inputs, &rig, target = environment.target]() mutable {
    inputs.x = rig.values("x");
    if (spec.mask != MaskKind::kNone) inputs.mask = rig.values("mask");
    std::vector<OutputExpectation> outputs;
    outputs.push_back({spec.in_place ? "x" : "y", softmax_expected(inputs, target)});
    return outputs;
  };
  return prepared;
}

const SpecKnobs<Spec>& knobs() {
  static const SpecKnobs<Spec> all = [] {
    SpecKnobs<Spec> made;
    made.size("batch", &Spec::batch).size("heads", &Spec::heads);
    made.size("rows", &Spec::rows).size("cols", &Spec::cols);
    made.layout("layout", &Spec::layout).family("family", &Spec::family);
    made.choice("special", &Spec::special,
                std::vector<std::pair<std::string, Special>>{{"none", Special::kNone}});
    made.choice("mask", &Spec::mask,
                std::vector<std::pair<std::string, MaskKind>>{{"none", MaskKind::kNone}});
    made.choice("mask_broadcast", &Spec::mask_broadcast,
                std::vector<std::pair<std::string, std::array<bool, 3>>>{{"none", {}}});
    made.flag("causal", &Spec::causal).scalar("scale", &Spec::scale, 1.0f);
    made.flag("empty_rows", &Spec::empty_rows).flag("in_place", &Spec::in_place);
    return made;
  }();
  return all;
}

Case make_case(const Spec& spec) {
  const Shape shape{spec.batch, spec.heads, spec.rows, spec.cols};
  Case test;
  test.op = "softmax";
  test.dtype = spec.dtype;
  test.layout = layout_name(spec.layout);
  test.features = features_of(spec);
  test.families = families_of(spec);
  set_sizes(test, {{"batch", spec.batch}, {"heads", spec.heads}, {"rows", spec.rows}, {"cols", spec.cols}});
  test.shape = shape_name(shape);
  test.odd = any_odd(shape);
  test.over_tile = spec.cols > kTileCols || spec.batch * spec.heads * spec.rows > kTileRows;
  test.quick = spec.quick;
  std::string options;
  for (const std::string& feature : test.features) options += "." + feature;
  if (spec.scale != 1.0f) options += fmt::format("_{:.4g}", spec.scale);
  if (spec.causal) options += fmt::format(".offset_{}", spec.causal_offset);
  if (spec.mask_broadcast != std::array<bool, 3>{}) {
    options +=
        fmt::format("_{:d}{:d}{:d}", spec.mask_broadcast[0], spec.mask_broadcast[1], spec.mask_broadcast[2]);
  }
  std::erase(options, '+');  // of an exponent
  test.id =
      fmt::format("softmax/{}/{}/{}/{}", dtype_name(spec.dtype), test.layout, test.shape, options.substr(1));
  test.prepare = [spec](const CaseEnvironment& environment) { return prepare(spec, environment); };
  test.variants = knobs().variants(spec, &make_case);
  return test;
}

double empty_value(EmptyRow policy, std::int64_t cols) {
  switch (policy) {
    case EmptyRow::kZero:
      return 0.0;
    case EmptyRow::kUniform:
      return 1.0 / static_cast<double>(cols);
    case EmptyRow::kNaN:
      break;
  }
  return kNaN;
}

bool fits_f32(double value) {
  return round_to_dtype(DType::kF32, value) == value;
}

// Absolute error of an exponent t − max as the kernel computes it from x.
double exponent_error(double scaled, double score, double largest, bool masked) {
  const bool scaled_exact = fits_f32(scaled);
  const bool score_exact = scaled_exact && fits_f32(score);
  double error = 0.0;
  if (!scaled_exact) error += std::fabs(scaled);
  if (masked && !score_exact) error += std::fabs(score);
  // Where the scores are rounded their difference is only known to be zero for the largest itself.
  if (score != largest && !(score_exact && fits_f32(largest) && fits_f32(score - largest))) {
    error += std::fabs(score - largest);
  }
  return error * kF32Roundoff;
}

}  // namespace

Expected softmax_expected(const SoftmaxInputs& inputs, const Target& target) {
  reference::SoftmaxOptions options;
  options.batch = inputs.batch;
  options.heads = inputs.heads;
  options.rows = inputs.rows;
  options.cols = inputs.cols;
  options.scale = inputs.scale;
  options.causal = inputs.causal;
  options.causal_offset = inputs.causal_offset;
  options.mask_shape = inputs.mask_shape;
  options.empty_value = empty_value(inputs.empty_row, inputs.cols);
  reference::SoftmaxResult oracle = reference::softmax(inputs.x, inputs.mask, options);

  const double u = kF32Roundoff;
  const double common = (static_cast<double>(softmax_reduction_depth(inputs.cols, target)) + 2.0) * u;
  const bool masked = !inputs.mask.empty();
  const auto cols = static_cast<std::size_t>(inputs.cols);
  Expected expected;
  expected.dtype = inputs.dtype;
  expected.shape = {inputs.batch, inputs.heads, inputs.rows, inputs.cols};
  expected.bound.resize(oracle.value.size());
  std::vector<double> errors(cols);
  for (std::size_t row = 0; row < oracle.largest.size(); ++row) {
    const double largest = oracle.largest[row];
    const std::span<const double> value(oracle.value.data() + row * cols, cols);
    const std::span<double> bound(expected.bound.data() + row * cols, cols);
    if (!std::isfinite(
            largest)) {  // a class alone, or an empty row's constant, of which 1 / cols is rounded in f32
      for (std::size_t i = 0; i < cols; ++i) {
        const bool exact = value[i] == 0.0 || std::isnan(value[i]);
        bound[i] = exact ? 0.0 : u * value[i] + store_rounding(inputs.dtype, value[i]);
      }
      continue;
    }
    // Exponentials of 1 and of 0 alone.
    const std::span<const double> scores(oracle.score.data() + row * cols, cols);
    const bool exact = std::all_of(scores.begin(), scores.end(), [&](double score) {
      return score == largest || score <= largest - 128.0;
    });
    double sum = 0.0;    // Σ e^(t_k − max)
    double moved = 0.0;  // Σ e^(t_k − max + a_k)
    for (std::size_t i = 0; i < cols; ++i) {
      const double score = oracle.score[row * cols + i];
      if (score == -kInfinity) continue;
      errors[i] = 2.0 * u + exponent_error(oracle.scaled[row * cols + i], score, largest, masked);
      sum += std::exp(score - largest);
      moved += std::exp(std::min(score - largest + errors[i], 700.0));
    }
    for (std::size_t i = 0; i < cols; ++i) {
      const double score = oracle.score[row * cols + i];
      if (score == -kInfinity) continue;  // exactly 0
      if (exact) {
        double& exact_value = oracle.value[row * cols + i];
        if (score != largest) exact_value = 0.0;
        const bool held = round_to_dtype(inputs.dtype, exact_value) == exact_value;
        bound[i] = held ? 0.0 : u * exact_value + store_rounding(inputs.dtype, exact_value);
        continue;
      }
      const double error = errors[i] + std::log(moved / sum) + common;
      const double shift = error < 0.5
                               ? value[i] * std::expm1(error)
                               : std::exp(std::min(score - largest - std::log(sum) + error, 0.0)) - value[i];
      bound[i] = shift + 0x1p-149 + store_rounding(inputs.dtype, value[i]);
    }
  }
  expected.value = std::move(oracle.value);
  return expected;
}

OpSuite softmax_suite() {
  OpSuite suite;
  suite.op = "softmax";
  suite.bound = kSoftmaxBound;
  suite.dtypes = {DType::kF32, DType::kF16, DType::kBF16};
  suite.layouts = {"contiguous", "strided"};
  suite.features = {"plain",      "scale",           "causal",   "mask_f32", "mask_x_dtype", "mask_broadcast",
                    "empty_zero", "causal_and_mask", "in_place", "large",    "non_finite",   "empty_uniform",
                    "empty_nan",  "long_rows",       "outliers", "equal",    "one_hot"};

  // A pack, a wave's lanes, what a wave of either size holds of a short row and of a longer one, what the
  // largest block holds; the rows of a block that takes one per wave.
  for (std::int64_t at : {8, 32, 64, 256, 512, 1024, 2048, 16384}) suite.edges.push_back({"cols", at});
  suite.edges.push_back({"rows", 4});
  const std::int64_t lengths[] = {1,   2,   7,   8,    31,   32,   33,   64,   65,   255,
                                  256, 257, 513, 1024, 1025, 2047, 2049, 4099, 16384};
  for (DType dtype : suite.dtypes) {
    for (Layout layout : {Layout::kContiguous, Layout::kStrided}) {
      const Spec base{.dtype = dtype, .layout = layout};
      const auto add = [&](Spec spec) { suite.cases.push_back(make_case(spec)); };
      const auto sized = [&](std::int64_t batch, std::int64_t heads, std::int64_t rows, std::int64_t cols) {
        Spec spec = base;
        spec.batch = batch;
        spec.heads = heads;
        spec.rows = rows;
        spec.cols = cols;
        return spec;
      };

      for (std::int64_t cols : lengths) {
        Spec spec = cols < 128     ? sized(2, 3, 5, cols)
                    : cols <= 1025 ? sized(1, 2, 3, cols)
                                   : sized(1, 1, 2, cols);
        spec.quick = cols == 33 || cols == 2049;
        add(spec);
      }
      add(sized(2, 0, 3, 5));
      add(sized(1, 2, 3, 0));
      add(sized(0, 2, 1, 300));

      const std::pair<Shape, float> scales[] = {
          {{1, 2, 3, 40}, 0.125f}, {{2, 1, 5, 77}, -1.5f}, {{1, 1, 3, 515}, 3.7f}, {{1, 3, 1, 2050}, 0.0f}};
      for (const auto& [shape, scale] : scales) {
        Spec spec = sized(shape[0], shape[1], shape[2], shape[3]);
        spec.scale = scale;
        spec.quick = shape[3] == 77;
        add(spec);
      }

      // Rows and columns, and the offset: square, decoding at the end of a cache, all visible, from the top
      // left.
      const std::array<std::int64_t, 3> causals[] = {
          {33, 33, 0}, {3, 70, 67}, {5, 300, 295}, {2, 9, 40}, {4, 1030, 511}};
      for (const auto& [rows, cols, offset] : causals) {
        Spec spec = sized(1, 2, rows, cols);
        spec.causal = true;
        spec.causal_offset = offset;
        spec.quick = rows == 5;
        add(spec);
      }

      for (const Shape& shape : {Shape{1, 2, 3, 31}, Shape{2, 2, 2, 130}, Shape{1, 1, 3, 1031}}) {
        Spec spec = sized(shape[0], shape[1], shape[2], shape[3]);
        spec.quick = shape[3] == 130;
        for (MaskKind mask : {MaskKind::kF32, MaskKind::kX}) {
          spec.mask = mask;
          if (mask == MaskKind::kX && dtype == DType::kF32) continue;
          add(spec);
        }
        spec.causal = true;
        spec.causal_offset = shape[3] - shape[2];
        add(spec);
      }

      const std::pair<Shape, std::array<bool, 3>> broadcasts[] = {{{2, 3, 3, 45}, {false, true, false}},
                                                                  {{3, 2, 2, 64}, {true, false, true}},
                                                                  {{2, 2, 3, 600}, {true, true, false}},
                                                                  {{2, 2, 2, 17}, {true, true, true}}};
      for (const auto& [shape, broadcast] : broadcasts) {
        Spec spec = sized(shape[0], shape[1], shape[2], shape[3]);
        spec.mask = MaskKind::kX;
        spec.mask_broadcast = broadcast;
        spec.quick = shape[3] == 45;
        add(spec);
      }

      for (EmptyRow policy : {EmptyRow::kZero, EmptyRow::kUniform, EmptyRow::kNaN}) {
        Spec spec = sized(1, 2, 7, 5);  // more rows than columns: the leading ones see nothing
        spec.empty_row = policy;
        spec.causal = true;
        spec.causal_offset = -2;
        spec.quick = true;
        add(spec);
        spec = sized(1, 2, 3, 33);
        spec.empty_row = policy;
        spec.mask = MaskKind::kF32;
        spec.empty_rows = true;
        add(spec);
        spec.rows = 4;
        spec.cols = 1033;
        spec.mask = MaskKind::kX;
        spec.causal = true;
        spec.causal_offset = -1;
        add(spec);
      }

      for (const Shape& shape : {Shape{2, 1, 5, 63}, Shape{1, 2, 2, 1025}, Shape{1, 1, 2, 400}}) {
        Spec spec = sized(shape[0], shape[1], shape[2], shape[3]);
        spec.in_place = true;
        spec.quick = shape[3] == 63;
        add(spec);
      }

      for (std::int64_t cols : {16385, 20011, 36000}) {
        Spec spec = sized(1, 1, cols == 20011 ? 2 : 1, cols);
        spec.quick = cols != 36000;
        if (cols == 16385) {
          spec.in_place = true;
        } else if (cols == 36000) {
          spec.causal = true;
          spec.causal_offset = 35001;
          spec.mask = MaskKind::kF32;
          spec.scale = 0.5f;
        }
        add(spec);
      }

      for (const Shape& shape :
           {Shape{1, 2, 3, 9}, Shape{1, 1, 6, 259}, Shape{1, 3, 1, 3000}, Shape{1, 1, 3, 17000}}) {
        Spec spec = sized(shape[0], shape[1], shape[2], shape[3]);
        spec.special = Special::kLarge;
        if (dtype == DType::kF16) spec.scale = 0x1p86f;
        spec.quick = shape[3] == 259;
        add(spec);
      }

      for (const Shape& shape :
           {Shape{2, 3, 2, 13}, Shape{1, 1, 6, 300}, Shape{1, 2, 3, 1500}, Shape{1, 1, 6, 16500}}) {
        Spec spec = sized(shape[0], shape[1], shape[2], shape[3]);
        spec.special = Special::kNonFinite;
        spec.empty_row = EmptyRow::kUniform;
        spec.quick = shape[3] == 300;
        add(spec);
        if (shape[3] != 13 && shape[3] != 300) continue;
        spec.mask = MaskKind::kX;
        spec.causal = true;
        spec.causal_offset = shape[3] / 2;
        add(spec);
      }

      for (const Shape& shape : {Shape{2, 2, 5, 19}, Shape{1, 2, 3, 300}, Shape{1, 1, 4, 2100}}) {
        Spec spec = sized(shape[0], shape[1], shape[2], shape[3]);
        spec.quick = shape[3] == 300;
        spec.special = Special::kExact;
        add(spec);
        spec.special = Special::kCancel;
        spec.mask = MaskKind::kX;
        add(spec);
        spec.special = Special::kBehindMask;
        add(spec);
        spec.mask = MaskKind::kNone;
        spec.causal = true;
        spec.causal_offset = shape[3] / 2;
        add(spec);
      }

      for (Family family :
           {Family::kOutliers, Family::kEqual, Family::kOneHot, Family::kUniform, Family::kSubnormal}) {
        for (const Shape& shape : {Shape{1, 2, 3, 37}, Shape{2, 1, 2, 320}, Shape{1, 1, 2, 1537}}) {
          Spec spec = sized(shape[0], shape[1], shape[2], shape[3]);
          spec.family = family;
          spec.quick = shape[3] == 37;
          add(spec);
        }
      }
    }
    for (Layout layout : {Layout::kContiguous, Layout::kStrided}) {
      fill_edges(suite, dtype, layout_name(layout), [&](const std::string& dimension, std::int64_t size) {
        Spec spec{.rows = 2, .cols = size, .dtype = dtype, .layout = layout};
        if (dimension == "rows") {
          spec.rows = size;
          spec.cols = 11;
        }
        return make_case(spec);
      });
    }
    for (const Shape& shape : {Shape{1, 32, 1, 1024}, Shape{1, 8, 64, 256}, Shape{1, 4, 16, 4096},
                               Shape{1, 1, 8, 16384}, Shape{1, 1, 2, 65536}}) {
      suite.bench_cases.push_back(make_case(
          Spec{.batch = shape[0], .heads = shape[1], .rows = shape[2], .cols = shape[3], .dtype = dtype}));
    }
    Spec causal{.heads = 4, .rows = 128, .cols = 1024, .dtype = dtype, .scale = 0.125f, .causal = true};
    causal.causal_offset = causal.cols - causal.rows;
    suite.bench_cases.push_back(make_case(causal));
  }
  add_metamorphic(suite, softmax_metamorphic_cases());
  suite.large_cases = softmax_large_cases;
  return suite;
}

}  // namespace hipforge::harness
