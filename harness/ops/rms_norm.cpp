#include "harness/ops/rms_norm.h"

#include "harness/core/tolerance.h"
#include "harness/sweep/op_cases.h"
#include "kernels/rms_norm.h"
#include "reference/rms_norm.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace hipforge::harness {
namespace {

// What x holds where it is not one of the families.
enum class Special {
  kNone,
  kExact,      // ±2 and integer weights, of which every step is exact
  kNonFinite,  // rows with NaN, with infinities of both signs, and ordinary ones
  kCancel,     // a residual that takes nearly all of x away
};

struct Spec {
  std::int64_t rows;
  std::int64_t hidden;
  DType x = DType::kF32;
  DType stream = DType::kF32;
  DType weight = DType::kF32;
  DType y = DType::kF32;
  bool fused = false;
  bool in_place = false;
  Layout layout = Layout::kContiguous;
  Family family = Family::kNormal;
  double scale = 1.0;
  float eps = 1e-5f;
  Special special = Special::kNone;
  bool quick = false;
};

constexpr std::int64_t kSampledRows = 64;         // of a large case
constexpr std::int64_t kBlockElements = 256 * 8;  // what one block covers in one step

std::vector<double> special_values(const Spec& spec) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::vector<double> values;
  for (std::int64_t row = 0; row < spec.rows; ++row) {
    for (std::int64_t col = 0; col < spec.hidden; ++col) {
      const double ordinary = (row * 7 + col * 5) % 3 == 0 ? -2.0 : 2.0;
      const bool hit = spec.special == Special::kNonFinite && col % 37 == spec.hidden / 2 % 37;
      const double planted[] = {ordinary, std::numeric_limits<double>::quiet_NaN(), -kInfinity, kInfinity};
      values.push_back(hit ? planted[(row + 1) % 4] : ordinary);
    }
  }
  return values;
}

// What a sum with `x` nearly takes away: all but its last bits.
std::vector<double> opposite(const std::vector<double>& x) {
  std::vector<double> values;
  for (std::size_t i = 0; i < x.size(); ++i) {
    values.push_back(-x[i] * (1.0 + 0x1p-7 * static_cast<double>(i % 5)));
  }
  return values;
}

RmsNormParams make(const Spec& spec, Rig& rig) {
  const Shape shape{spec.rows, spec.hidden};
  RmsNormParams params;
  params.eps = spec.eps;
  const bool given = spec.special == Special::kExact || spec.special == Special::kNonFinite;
  params.x = given ? rig.input_values("x", spec.x, shape, special_values(spec), spec.layout)
                   : rig.input("x", spec.x, shape, spec.family, spec.scale, spec.layout);
  params.weight = rig.input("weight", spec.weight, {spec.hidden},
                            spec.special == Special::kExact ? Family::kIntegers : Family::kNormal);
  if (spec.fused) {
    params.residual =
        spec.special == Special::kCancel
            ? rig.input_values("residual", spec.stream, shape, opposite(rig.values("x")), spec.layout)
            : rig.input("residual", spec.stream, shape, spec.family, spec.scale, spec.layout);
    params.residual_out =
        spec.in_place ? params.residual : rig.output("residual_out", spec.stream, shape, spec.layout);
  }
  params.y = spec.in_place && !spec.fused ? params.x : rig.output("y", spec.y, shape, spec.layout);
  return params;
}

const Fields<Spec>& fields() {
  static const auto all = [] {
    const auto weight = [](const Spec& spec) { return fmt::format("weight_{}", dtype_name(spec.weight)); };
    const auto stream_f32 = [](const Spec& spec) { return spec.fused && spec.stream == DType::kF32; };
    Fields<Spec> made;
    made.dtype(&Spec::x)
        .size("rows", &Spec::rows)
        .size("hidden", &Spec::hidden)
        .layout("layout", &Spec::layout);
    made.flag("residual", &Spec::fused).says("residual", "plain").feature(weight);
    made.feature("residual_f32", stream_f32);
    made.feature("y_other_dtype", [](const Spec& spec) { return spec.y != spec.x; });
    made.flag("in_place", &Spec::in_place).says("in_place").family("family", &Spec::family);
    made.choice<Special>("special", &Spec::special,
                         {{"none", Special::kNone},
                          {"exact", Special::kExact, "integers", {"integers"}},
                          {"non_finite", Special::kNonFinite, "non_finite", {"non_finite", "minus_infinity"}},
                          {"cancel", Special::kCancel, "cancel", {"cancel"}}});
    made.feature("eps_0", [](const Spec& spec) { return spec.eps == 0.0f; });
    made.scalar("scale", &Spec::scale, 1.0);
    made.special({"large"},
                 [](const Spec& spec) { return spec.scale >= 1e4 && spec.special == Special::kNone; });
    made.option([](const Spec& spec) { return spec.fused && spec.stream == spec.x ? "residual_x" : ""; });
    made.option(
        [](const Spec& spec) { return spec.y == spec.x ? "" : fmt::format("y_{}", dtype_name(spec.y)); });
    made.option(
        [](const Spec& spec) { return spec.scale == 1.0 ? "" : fmt::format("scale_{:g}", spec.scale); });
    made.over_tile([](const Spec& spec) { return spec.hidden > kBlockElements || spec.rows > 1; });
    return made;
  }();
  return all;
}

bool is_power_of_two(double value) {
  return value > 0.0 && std::exp2(std::ilogb(value)) == value;
}

// Whether a row of squares, whatever their order, adds up in f32 without an error, and its inverse root is a
// power of two.
bool is_exact(std::span<const double> s, double mean_square, double eps) {
  const auto hidden = static_cast<double>(s.size());
  if (eps != 0.0 || !is_power_of_two(hidden)) return false;
  const double root = std::sqrt(mean_square);
  if (!is_power_of_two(root) || mean_square * hidden > 0x1p24) return false;
  return std::all_of(s.begin(), s.end(), [](double value) { return std::nearbyint(value) == value; });
}

Work work(const Spec& spec, const RmsNormParams&) {
  return {.flops = 4 * spec.rows * spec.hidden};
}

std::vector<RmsNormParams> samples(const RmsNormParams& params, std::uint64_t seed) {
  return sample_rows(params, {"x", "residual", "residual_out", "y"}, params.x.shape[0], kSampledRows, seed);
}

const OpCases<Spec, RmsNormParams> kCases{rms_norm, fields, make, expect, work, samples};

std::vector<Case> large_cases(std::int64_t shrink) {
  std::vector<Case> cases;
  for (DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
    for (std::int64_t hidden : {4096, 8192}) {
      for (bool fused : {false, true}) {
        if (fused && hidden != 4096) continue;
        // 256 MiB or more in and out.
        const std::int64_t rows =
            (std::int64_t{128} << 20) / (hidden * static_cast<std::int64_t>(dtype_size(dtype)) * shrink);
        Spec spec{.rows = rows, .hidden = hidden, .x = dtype, .stream = dtype, .weight = dtype, .y = dtype};
        spec.fused = fused;
        cases.push_back(make_large_case(kCases, spec, fused ? "fused_add" : "plain", {rows, hidden}));
        cases.back().floor_share = 0.85;
      }
    }
  }
  return cases;
}

}  // namespace

std::vector<OutputExpectation> expect(const RmsNormParams& params, const HostTensors& host,
                                      const Target& target, const RmsNormParams&) {
  const std::int64_t rows = params.x.shape[0];
  const std::int64_t columns = params.x.shape[1];
  const auto weight = host.values("weight");
  const auto eps = static_cast<double>(params.eps);
  const reference::RmsNormResult oracle =
      reference::rms_norm(host.values("x"), host.values("residual"), weight, rows, columns, eps);
  const bool fused = params.residual.present();
  const auto depth = static_cast<double>(rms_norm_reduction_depth(columns, target));
  const double relative = (0.5 * (depth + (fused ? 4.0 : 2.0)) + (fused ? 6.0 : 5.0)) * kF32Roundoff;
  const DType y_dtype = params.y.dtype;
  Expected normed{y_dtype, {rows, columns}, oracle.y, {}};
  const auto hidden = static_cast<std::size_t>(columns);
  for (std::size_t row = 0; row < oracle.mean_square.size(); ++row) {
    const std::span<const double> s(oracle.sum.data() + row * hidden, hidden);
    const double squares = oracle.mean_square[row] * static_cast<double>(columns);
    const bool overflows = std::isfinite(squares) && squares >= overflow_threshold(DType::kF32);
    const bool exact = is_exact(s, oracle.mean_square[row], eps);
    for (std::size_t i = 0; i < hidden; ++i) {
      double& y = normed.value[row * hidden + i];
      if (overflows) y = 0.0;
      if (overflows || (exact && round_to_dtype(DType::kF32, y) == y)) {
        y = round_to_dtype(y_dtype, y);
        normed.bound.push_back(0.0);
        continue;
      }
      // s·r may be subnormal before the weight multiplies it.
      const double underflow = 0x1p-150 * std::fabs(weight[i]);
      normed.bound.push_back(relative * std::fabs(y) + underflow + store_rounding(y_dtype, y));
    }
  }
  if (!fused) return {{"y", std::move(normed)}};
  Expected sum{params.residual_out.dtype, normed.shape, oracle.sum, {}};
  for (double value : oracle.sum) {
    // An f32 stream is rounded once, by the addition; a narrower one a second time, by the store.
    const double stored = sum.dtype == DType::kF32 ? 0.0 : store_rounding(sum.dtype, value);
    sum.bound.push_back(kF32Roundoff * std::fabs(value) + stored);
  }
  return {{"y", std::move(normed)}, {"residual_out", std::move(sum)}};
}

OpSuite rms_norm_suite() {
  auto suite = make_suite<RmsNormParams>(kRmsNormBound);
  suite.dtypes = {DType::kF32, DType::kF16, DType::kBF16};
  suite.layouts = {"contiguous", "strided"};
  suite.features = {"plain",    "residual", "residual_f32", "weight_f32", "weight_f16", "weight_bf16",
                    "in_place", "outliers", "integers",     "equal",      "subnormal",  "eps_0"};
  suite.features.emplace_back("y_other_dtype");
  // A pack, a wave's lanes, what a wave takes at once and what it holds, and what the largest block holds.
  for (std::int64_t at : {8, 32, 64, 256, 512, 1024, 2048, 16384}) suite.edges.push_back({"hidden", at});
  suite.exclusions = {
      {"y_other_dtype", "", "y takes another dtype from an f32 x alone", {DType::kF16, DType::kBF16}}};
  exclude_families(suite, {"masked_rows", "nan_behind_mask"}, "there is no mask");

  const Shape hiddens{1, 2, 7, 8, 31, 64, 127, 256, 257, 511, 1024, 2047, 2048, 2056, 4099};
  for (DType x : suite.dtypes) {
    for (Layout layout : {Layout::kContiguous, Layout::kStrided}) {
      std::size_t turn = 0;
      for (std::int64_t hidden : hiddens) {
        Spec spec{.rows = hidden > 1024 ? 2 : 5, .hidden = hidden, .x = x, .stream = x, .weight = x, .y = x};
        spec.layout = layout;
        spec.quick = hidden == 257 || hidden == 2056;
        suite.cases.push_back(make_case(kCases, spec));
        // The weight's dtype and the stream's rotate through all pairs as sizes grow.
        const std::array<DType, 3> floats = {DType::kF32, DType::kF16, DType::kBF16};
        spec.fused = true;
        spec.weight = floats[turn % 3];
        spec.stream = turn % 2 == 0 ? x : DType::kF32;
        ++turn;
        suite.cases.push_back(make_case(kCases, spec));
      }
      for (Shape shape : {Shape{1, 96}, Shape{3, 130}, Shape{7, 2050}}) {
        Spec spec{.rows = shape[0], .hidden = shape[1], .x = x, .stream = x, .weight = DType::kF32, .y = x};
        spec.layout = layout;
        spec.quick = shape[0] == 3;
        for (DType weight : {DType::kF32, DType::kF16, DType::kBF16}) {
          spec.weight = weight;
          spec.fused = true;
          spec.stream = DType::kF32;
          spec.in_place = true;
          suite.cases.push_back(make_case(kCases, spec));
        }
        spec.stream = x;
        spec.fused = false;
        suite.cases.push_back(make_case(kCases, spec));
        spec.in_place = false;
        for (Family family : {Family::kOutliers, Family::kIntegers, Family::kEqual, Family::kSubnormal,
                              Family::kOneHot, Family::kUniform}) {
          spec.family = family;
          suite.cases.push_back(make_case(kCases, spec));
        }
        spec.family = Family::kNormal;
        spec.special = Special::kNonFinite;
        suite.cases.push_back(make_case(kCases, spec));
        spec.special = Special::kCancel;
        spec.fused = true;
        suite.cases.push_back(make_case(kCases, spec));
        spec.special = Special::kNone;
        spec.scale = x == DType::kF16 ? 1e4 : 1e30;
        suite.cases.push_back(make_case(kCases, spec));
        spec.fused = false;
        suite.cases.push_back(make_case(kCases, spec));
        spec.scale = 1.0;
        spec.eps = 0.0f;
        suite.cases.push_back(make_case(kCases, spec));
        spec.eps = 1e-5f;
        if (x == DType::kF32) {
          for (DType y : {DType::kF16, DType::kBF16}) {
            spec.y = y;
            suite.cases.push_back(make_case(kCases, spec));
          }
        }
      }
      // Above what an unscaled sum of squares in f16 would hold.
      Spec large{.rows = 3, .hidden = 515, .x = x, .stream = x, .weight = DType::kF32, .y = x};
      large.layout = layout;
      large.scale = 1e3;
      suite.cases.push_back(make_case(kCases, large));
      for (std::int64_t hidden : {64, 7, 2049}) {
        Spec no_rows{.rows = 0, .hidden = hidden, .x = x, .stream = x, .weight = DType::kF32, .y = x};
        no_rows.layout = layout;
        suite.cases.push_back(make_case(kCases, no_rows));
      }
      for (const Shape& shape : {Shape{1, 8}, Shape{5, 256}, Shape{2, 4096}}) {
        Spec exact{.rows = shape[0], .hidden = shape[1], .x = x, .stream = x, .weight = x, .y = x};
        exact.layout = layout;
        exact.special = Special::kExact;
        exact.eps = 0.0f;
        exact.quick = shape[1] == 256;
        suite.cases.push_back(make_case(kCases, exact));
      }
      fill_edges(suite, x, layout_name(layout), [&](const std::string&, std::int64_t hidden) {
        Spec spec{.rows = 2, .hidden = hidden, .x = x, .stream = x, .weight = x, .y = x};
        spec.layout = layout;
        return make_case(kCases, spec);
      });
    }
    for (Shape shape : {Shape{1, 4096}, Shape{64, 1024}, Shape{32, 4096}}) {
      Spec spec{.rows = shape[0], .hidden = shape[1], .x = x, .stream = x, .weight = x, .y = x};
      suite.bench_cases.push_back(make_case(kCases, spec));
      spec.fused = true;
      suite.bench_cases.push_back(make_case(kCases, spec));
    }
  }
  add_metamorphic(suite, rms_norm_metamorphic_cases());
  suite.large_cases = large_cases;
  return suite;
}

}  // namespace hipforge::harness
