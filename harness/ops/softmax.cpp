#include "kernels/softmax.h"

#include "harness/core/tolerance.h"
#include "harness/sweep/metamorphic.h"
#include "harness/sweep/op_cases.h"
#include "reference/not_finite.h"
#include "reference/softmax.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace hipforge::harness {

constexpr const char* kSoftmaxBound = R"(
With u = 2⁻²⁴, element j's exponential has the relative error e^a_j − 1, where a_j adds
  the exponent's absolute error: u·|scale·x_j|, u·|t_j| for a mask's addition, u·|t_j − max|, each of them
  0 where f32 holds the exact result;  2u for expf, accurate to one unit in the last place;
the sum of exponentials has Σ p_k e^a_k − 1, and depth·u for its additions; the reciprocal and the product
add 2u. So the value may move by p_j·(e^(a_j + ln Σ p_k e^a_k + (depth + 2)·u) − 1), but not above 1; an
exponential below the smallest normal number loses another 2⁻¹⁴⁹ at most; then the store. Empty rows are
exact but for their store; so is a row whose t_j are the largest or at least 128 below it, 1 / count in f32.)";

// y, within kSoftmaxBound.
Oracle<SoftmaxParams> expect;
Relations<SoftmaxParams> softmax_metamorphic_cases;

namespace {

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

struct Spec : SpecBase {
  std::int64_t batch = 1;
  std::int64_t heads = 1;
  std::int64_t rows = 1;
  std::int64_t cols = 1;
  float scale = 1.0f;
  bool causal = false;
  std::int64_t causal_offset = 0;
  MaskKind mask = MaskKind::kNone;
  std::array<bool, 3> mask_broadcast{};  // batch, heads, rows
  bool empty_rows = false;               // the mask takes every third row away
  EmptyRow empty_row = EmptyRow::kZero;
  bool in_place = false;
  Special special = Special::kNone;
};

// Elements that a wave of 32 lanes takes at once, and the rows of its block.
constexpr std::int64_t kTileCols = 32 * 8;
constexpr std::int64_t kTileRows = 4;
// Above this a row is read in several chunks, whatever the wave.
constexpr std::int64_t kRegisterCols = 16384;

// A number in [0, 1) of (seed, index), for values that are made on the host.
double draw(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t bits = (seed << 32) + index + 0x9e3779b97f4a7c15u;
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
  return static_cast<double>((bits ^ (bits >> 31)) >> 11) * 0x1p-53;
}

// Additive mask: a third of it −inf, each third row all of it where empty rows are wanted.
std::vector<double> mask_values(const Spec& spec, std::uint64_t seed, const Shape& shape) {
  return values_of(shape, [&](std::int64_t i) {
    const double drawn = draw(seed + 77, static_cast<std::uint64_t>(i));
    const bool removed = drawn < 1.0 / 3.0 || (spec.empty_rows && i / spec.cols % 3 == 1);
    return removed ? -kInfinity : 6.0 * drawn - 4.0;
  });
}

// An element of x that is made on the host, in row `row` of all; `drawn` is of [0, 1).
double special_value(const Spec& spec, std::int64_t row, std::int64_t col, double drawn, bool removed) {
  const double ordinary = 8.0 * drawn - 4.0;
  switch (spec.special) {
    case Special::kLarge: {
      // Rows all of the lowest, rows of several of the highest among others, rows of ordinary ones among the
      // lowest. In f16, which ends at 65,504, `scale` carries the magnitude.
      const double top = spec.dtype == DType::kF16 ? 12800.0 : 1e30;
      if (row % 3 == 0) return -top;
      if (row % 3 == 1) return drawn < 0.5 ? top : drawn < 0.75 ? -top : 0.75 * top;
      return drawn < 0.5 ? -top : 0.0;
    }
    case Special::kNonFinite: {
      // In turn: a row with +inf, with NaN, with −inf, an ordinary one, one of −inf alone, one of NaN and
      // −inf.
      const double planted[] = {kInfinity, kNaN, -kInfinity, ordinary, -kInfinity, kNaN};
      const double others = row % 6 >= 4 ? -kInfinity : ordinary;
      return drawn < 0.1 || col == spec.cols / 2 ? planted[row % 6] : others;
    }
    case Special::kExact: {
      // 1, 2, 4 or 8 of the columns, spread over the row; the others lie 128 and more below them.
      const std::int64_t peaks = std::int64_t{1} << (row % 4);
      const std::int64_t apart = std::max<std::int64_t>(spec.cols / peaks, 1);
      const bool is_peak = col % apart == apart / 2 && col / apart < peaks;
      return is_peak ? 256.0 : -128.0 * std::floor(3.0 * drawn);
    }
    default: {  // behind the mask
      const double planted[] = {kNaN, kInfinity, -kInfinity};
      return removed ? planted[(row * spec.cols + col) % 3] : ordinary;
    }
  }
}

TensorView make_x(const Spec& spec, Rig& rig) {
  const Shape shape{spec.batch, spec.heads, spec.rows, spec.cols};
  if (spec.special == Special::kNone || spec.special == Special::kCancel) {
    const double scale = spec.special == Special::kCancel ? 300.0
                         : spec.family == Family::kNormal ? 3.0
                                                          : 1.0;
    return rig.input("x", spec.dtype, shape, spec.family, scale, spec.layout);
  }
  const bool behind = spec.special == Special::kBehindMask && spec.mask != MaskKind::kNone;
  const auto mask = behind ? mask_values(spec, rig.seed(), shape) : std::vector<double>();
  const auto values = values_of(shape, [&](std::int64_t i) {
    const auto at = static_cast<std::size_t>(i);
    const std::int64_t row = i / spec.cols;
    const std::int64_t col = i % spec.cols;
    const bool hidden = spec.causal && col > row % spec.rows + spec.causal_offset;
    return special_value(spec, row, col, draw(rig.seed(), at), hidden || (behind && mask[at] == -kInfinity));
  });
  return rig.input_values("x", spec.dtype, shape, values, spec.layout);
}

// What leaves of `scale · x` as little as its last bits.
std::vector<double> cancelling_mask(const Spec& spec, const std::vector<double>& x) {
  std::vector<double> values = scaled(x, -static_cast<double>(spec.scale));
  for (std::size_t at = 0; at < x.size(); ++at) values[at] *= 1.0 + 0x1p-10 * static_cast<double>(at % 7);
  return values;
}

SoftmaxParams make(const Spec& spec, Rig& rig) {
  SoftmaxParams params;
  params.x = make_x(spec, rig);
  params.y = spec.in_place ? params.x : rig.output("y", spec.dtype, shape_of(params.x), spec.layout);
  params.scale = spec.scale;
  params.causal = spec.causal;
  params.causal_offset = spec.causal_offset;
  params.empty_row = spec.empty_row;
  if (spec.mask != MaskKind::kNone) {
    Shape shape = shape_of(params.x);
    for (std::size_t axis = 0; axis < 3; ++axis) {
      if (spec.mask_broadcast[axis]) shape[axis] = 1;
    }
    const DType dtype = spec.mask == MaskKind::kF32 ? DType::kF32 : spec.dtype;
    const auto values = spec.special == Special::kCancel ? cancelling_mask(spec, rig.values("x"))
                                                         : mask_values(spec, rig.seed(), shape);
    params.mask = rig.input_values("mask", dtype, shape, values, spec.layout);
  }
  return params;
}

bool is_broadcast(const Spec& spec) {
  return spec.mask_broadcast != std::array<bool, 3>{};
}

bool has_empty_rows(const Spec& spec) {
  return spec.empty_rows || (spec.causal && spec.causal_offset < 0);
}

// Whether the mask has this dtype.
bool masks_in(const Spec& spec, MaskKind kind) {
  return spec.mask == kind || (spec.mask != MaskKind::kNone && spec.dtype == DType::kF32);
}

constexpr const char* kEmptyRows = "zero uniform nan";

void declare(Fields<Spec>& made) {
  made.feature("scale", [](const Spec& spec) { return spec.scale != 1.0f; });
  made.feature("causal", &Spec::causal);
  made.feature("mask_f32", [](const Spec& spec) { return masks_in(spec, MaskKind::kF32); });
  made.feature("mask_x_dtype", [](const Spec& spec) { return masks_in(spec, MaskKind::kX); });
  made.feature("mask_broadcast", is_broadcast);
  made.feature("causal_and_mask",
               [](const Spec& spec) { return spec.causal && spec.mask != MaskKind::kNone; });
  made.feature([](const Spec& spec) {
    const auto policy = static_cast<std::size_t>(spec.empty_row);
    return has_empty_rows(spec) ? "empty_" + words_of(kEmptyRows)[policy] : "";
  });
  made.feature("in_place", &Spec::in_place);
  made.feature("long_rows", [](const Spec& spec) { return spec.cols > kRegisterCols; });
  made.size("batch", &Spec::batch).size("heads", &Spec::heads);
  made.size("rows", &Spec::rows).size("cols", &Spec::cols);
  made.layout().family("family", &Spec::family, false);
  std::vector<Value<Special>> specials{{"none", Special::kNone}};
  for (const char* name : {"large", "non_finite", "nan_behind_mask", "integers", "cancel"}) {
    specials.push_back({name, static_cast<Special>(specials.size()), name, {name}});
  }
  made.choice("special", &Spec::special, specials);
  made.feature(
      [](const Spec& spec) { return spec.family == Family::kNormal ? "" : family_name(spec.family); });
  made.plain();
  made.choice("mask", &Spec::mask, "none f32 x");
  made.choice<std::array<bool, 3>>("mask_broadcast", &Spec::mask_broadcast,
                                   {{"none", {}},
                                    {"heads", {false, true, false}},
                                    {"batch_rows", {true, false, true}},
                                    {"batch_heads", {true, true, false}},
                                    {"all", {true, true, true}}});
  made.flag("causal", &Spec::causal).scalar("scale", &Spec::scale, 1.0f);
  made.scalar("offset", &Spec::causal_offset, std::int64_t{0});
  made.choice("empty", &Spec::empty_row, kEmptyRows);
  made.flag("empty_rows", &Spec::empty_rows).flag("in_place", &Spec::in_place);
  made.special({"masked_rows"}, has_empty_rows, false);
  const auto has_minus_infinity = [](const Spec& spec) {
    return spec.special == Special::kNonFinite ||
           (spec.mask != MaskKind::kNone && spec.special != Special::kCancel);
  };
  made.special({"minus_infinity"}, has_minus_infinity, false);
  made.option("_{:.4g}", &Spec::scale, 1.0f);
  made.option(
      [](const Spec& spec) { return spec.causal ? fmt::format("offset_{}", spec.causal_offset) : ""; });
  made.option([](const Spec& spec) {
    const auto [batch, heads, rows] = spec.mask_broadcast;
    return is_broadcast(spec) ? fmt::format("_{:d}{:d}{:d}", batch, heads, rows) : "";
  });
  made.over_tile([](const Spec& spec) {
    return spec.cols > kTileCols || spec.batch * spec.heads * spec.rows > kTileRows;
  });
}

Work work(const Spec&, const SoftmaxParams& params) {
  return {.flops = 5 * params.x.numel()};
}

// Of a launch without a mask.
std::vector<SoftmaxParams> samples(const SoftmaxParams& params, std::uint64_t seed) {
  constexpr std::int64_t kSampledRows = 48;
  std::vector<SoftmaxParams> parts;
  for (std::int64_t row : spread(params.x.shape[2], kSampledRows, seed)) {
    parts.push_back(slice_operands(params, {"x", "y"}, 2, row));
    parts.back().causal_offset += row;
  }
  return parts;
}

const OpCases<Spec, SoftmaxParams> kCases{softmax, declared<Spec, declare>, make, work, samples};

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

std::vector<OutputExpectation> expect(const SoftmaxParams& part, const HostTensors& host,
                                      const Target& target, const SoftmaxParams&) {
  const auto [batch, heads, rows, columns] = part.x.shape;
  const bool masked = part.mask.present();
  const double of_empty_row[] = {0.0, 1.0 / static_cast<double>(columns), kNaN};
  reference::SoftmaxOptions options{.batch = batch,
                                    .heads = heads,
                                    .rows = rows,
                                    .cols = columns,
                                    .scale = static_cast<double>(part.scale),
                                    .causal = part.causal,
                                    .causal_offset = part.causal_offset,
                                    .empty_value = of_empty_row[static_cast<std::size_t>(part.empty_row)]};
  if (masked) options.mask_shape = {part.mask.shape[0], part.mask.shape[1], part.mask.shape[2]};
  reference::SoftmaxResult oracle = reference::softmax(host.values("x"), host.values("mask"), options);

  const double u = kF32Roundoff;
  const double common = (static_cast<double>(softmax_reduction_depth(columns, target)) + 2.0) * u;
  const auto cols = static_cast<std::size_t>(columns);
  const DType dtype = part.y.dtype;
  Expected expected{dtype, shape_of(part.y), {}, std::vector<double>(oracle.value.size())};
  std::vector<double> errors(cols);
  for (std::size_t row = 0; row < oracle.largest.size(); ++row) {
    const double largest = oracle.largest[row];
    const auto of_row = [&](std::vector<double>& values) {
      return std::span(values).subspan(row * cols, cols);
    };
    const std::span<double> value = of_row(oracle.value);
    const std::span<double> bound = of_row(expected.bound);
    const std::span<const double> scores = of_row(oracle.score);
    const std::span<const double> scaled_x = of_row(oracle.scaled);
    const auto rounded = [&](double to) { return u * to + store_rounding(dtype, to); };
    if (!std::isfinite(largest)) {
      // A class alone, or an empty row's constant, of which 1 / cols is rounded in f32.
      for (std::size_t i = 0; i < cols; ++i) {
        bound[i] = value[i] == 0.0 || std::isnan(value[i]) ? 0.0 : rounded(value[i]);
      }
      continue;
    }
    // Exponentials of 1 and of 0 alone.
    const auto is_exact = [&](double score) { return score == largest || score <= largest - 128.0; };
    if (std::all_of(scores.begin(), scores.end(), is_exact)) {
      for (std::size_t i = 0; i < cols; ++i) {
        if (scores[i] != largest) value[i] = 0.0;
        bound[i] = round_to_dtype(dtype, value[i]) == value[i] ? 0.0 : rounded(value[i]);
      }
      continue;
    }
    double sum = 0.0;    // Σ e^(t_k − max)
    double moved = 0.0;  // Σ e^(t_k − max + a_k)
    for (std::size_t i = 0; i < cols; ++i) {
      if (scores[i] == -kInfinity) continue;
      errors[i] = 2.0 * u + exponent_error(scaled_x[i], scores[i], largest, masked);
      sum += std::exp(scores[i] - largest);
      moved += std::exp(std::min(scores[i] - largest + errors[i], 700.0));
    }
    for (std::size_t i = 0; i < cols; ++i) {
      if (scores[i] == -kInfinity) continue;  // exactly 0
      const double error = errors[i] + std::log(moved / sum) + common;
      const double shift =
          error < 0.5 ? value[i] * std::expm1(error)
                      : std::exp(std::min(scores[i] - largest - std::log(sum) + error, 0.0)) - value[i];
      bound[i] = shift + 0x1p-149 + store_rounding(dtype, value[i]);
    }
  }
  expected.value = std::move(oracle.value);
  return {{"y", std::move(expected)}};
}

// batch x heads x rows x cols
constexpr std::string_view kTable = R"(
  2x3x5x{1,2,7,8,31,32,33!,64,65} 1x2x3x{255,256,257,513,1024,1025} 1x1x2x{2047,2049!,4099,16384}
  2x0x3x5 1x2x3x0 0x2x1x300
  1x2x3x40 : scale=0.125
  2x1x5x77! : scale=-1.5
  1x1x3x515 : scale=3.7
  1x3x1x2050 : scale=0
  # Square, decoding at the end of a cache, all visible, from the top left.
  1x2x33x33 : causal
  1x2x3x70 : causal offset=67
  1x2x5x300! : causal offset=295
  1x2x2x9 : causal offset=40
  1x2x4x1030 : causal offset=511
  1x2x3x31 : mask={f32,x} ; mask=x causal offset=28
  2x2x2x130! : mask={f32,x} ; mask=x causal offset=128
  1x1x3x1031 : mask={f32,x} ; mask=x causal offset=1028
  2x3x3x45! : mask=x mask_broadcast=heads
  3x2x2x64 : mask=x mask_broadcast=batch_rows
  2x2x3x600 : mask=x mask_broadcast=batch_heads
  2x2x2x17 : mask=x mask_broadcast=all
  # More rows than columns: the leading ones see nothing.
  1x2x7x5! : empty={zero,uniform,nan} causal offset=-2
  1x2x3x33 : empty={zero,uniform,nan} mask=f32 empty_rows
  1x2x4x1033 : empty={zero,uniform,nan} mask=x empty_rows causal offset=-1
  2x1x5x63! 1x2x2x1025 1x1x2x400 : in_place
  1x1x1x16385! : in_place
  1x1x2x20011!
  1x1x1x36000 : causal offset=35001 mask=f32 scale=0.5
  1x2x3x9 1x1x6x259! 1x3x1x3000 1x1x3x17000 : special=large
  2x3x2x13 : non_finite empty=uniform ; non_finite empty=uniform mask=x causal offset=6
  1x1x6x300! : non_finite empty=uniform ; non_finite empty=uniform mask=x causal offset=150
  1x2x3x1500 1x1x6x16500 : non_finite empty=uniform
  2x2x5x19 1x2x3x300! 1x1x4x2100 : special=integers ; special=cancel mask=x ; nan_behind_mask mask=x
  2x2x5x19 : nan_behind_mask causal offset=9
  1x2x3x300! : nan_behind_mask causal offset=150
  1x1x4x2100 : nan_behind_mask causal offset=1050
  1x2x3x37! 2x1x2x320 1x1x2x1537 : family={outliers,equal,one_hot,uniform,subnormal}
)";

constexpr std::string_view kBench = R"(
  1x32x1x1024 1x8x64x256 1x4x16x4096 1x1x8x16384 1x1x2x65536
  1x4x128x1024 : scale=0.125 causal offset=896
)";

// 256 MiB in and out.
constexpr std::string_view kLarge = R"(
  [f16 bf16] what=plain share=0.85 shrink=rows shape=rows+cols
  1x1x{65536x1024,32768x2048,16384x4096,8192x8192,4096x16384}
  [f32] what=plain share=0.85 shrink=rows shape=rows+cols
  1x1x{32768x1024,16384x2048,8192x4096,4096x8192,2048x16384}
)";

OpSuite softmax_suite() {
  auto suite = make_suite<SoftmaxParams>(kSoftmaxBound);
  suite.features = words_of(
      "plain scale causal mask_f32 mask_x_dtype mask_broadcast empty_zero causal_and_mask in_place large "
      "non_finite empty_uniform empty_nan long_rows outliers equal one_hot");

  // A pack, a wave's lanes, what a wave of either size holds of a short row and of a longer one, what the
  // largest block holds; the rows of a block that takes one per wave.
  for (std::int64_t at : {8, 32, 64, 256, 512, 1024, 2048, 16384}) suite.edges.push_back({"cols", at});
  suite.edges.push_back({"rows", 4});
  const auto settle = [](Spec& spec) {
    if (spec.special == Special::kLarge && spec.dtype == DType::kF16) spec.scale = 0x1p86f;
  };
  fill_suite(suite, kCases, {kTable, "1x1x2x11", kBench, settle, {}, kLarge, softmax_metamorphic_cases});
  return suite;
}

}  // namespace hipforge::harness
