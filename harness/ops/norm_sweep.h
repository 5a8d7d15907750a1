#pragma once

#include "harness/sweep/metamorphic.h"
#include "harness/sweep/op_cases.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

/// What the norms of rows have in common: params of the same form, the same cases and the same relations.
namespace hipforge::harness {

/// What x holds where it is not one of the families.
enum class NormSpecial {
  kNone,
  kExact,      // 2 and −2 and integer weights, of which every step is exact
  kNonFinite,  // rows with NaN, with infinities of both signs, and ordinary ones
  kCancel,     // a residual that takes nearly all of x away
};

struct NormSpec {
  std::int64_t rows;
  std::int64_t hidden;
  DType x = DType::kF32;
  DType stream = DType::kF32;
  DType weight = DType::kF32;
  DType y = DType::kF32;
  bool fused = false;
  bool bias = false;
  bool in_place = false;
  Layout layout = Layout::kContiguous;
  Family family = Family::kNormal;
  double scale = 1.0;
  float eps = 1e-5f;
  NormSpecial special = NormSpecial::kNone;
  bool quick = false;
};

template <class Params>
inline constexpr bool kHasBias = requires(Params params) {
  params.bias;
};

inline const Fields<NormSpec>& norm_fields() {
  static const auto all = [] {
    const auto weight = [](const NormSpec& spec) {
      return fmt::format("weight_{}", dtype_name(spec.weight));
    };
    const auto stream_f32 = [](const NormSpec& spec) { return spec.fused && spec.stream == DType::kF32; };
    Fields<NormSpec> made;
    made.dtype(&NormSpec::x)
        .size("rows", &NormSpec::rows)
        .size("hidden", &NormSpec::hidden)
        .layout("layout", &NormSpec::layout);
    made.flag("residual", &NormSpec::fused).says("residual", "plain").feature(weight);
    made.feature("residual_f32", stream_f32);
    made.feature("y_other_dtype", [](const NormSpec& spec) { return spec.y != spec.x; });
    made.flag("in_place", &NormSpec::in_place).says("in_place").family("family", &NormSpec::family);
    made.choice<NormSpecial>(
        "special", &NormSpec::special,
        {{"none", NormSpecial::kNone},
         {"exact", NormSpecial::kExact, "integers", {"integers"}},
         {"non_finite", NormSpecial::kNonFinite, "non_finite", {"non_finite", "minus_infinity"}},
         {"cancel", NormSpecial::kCancel, "cancel", {"cancel"}}});
    made.flag("bias", &NormSpec::bias).says("bias");
    made.feature("eps_0", [](const NormSpec& spec) { return spec.eps == 0.0f; });
    made.scalar("scale", &NormSpec::scale, 1.0);
    made.special({"large"}, [](const NormSpec& spec) {
      return spec.scale >= 1e4 && spec.special == NormSpecial::kNone;
    });
    made.option([](const NormSpec& spec) { return spec.fused && spec.stream == spec.x ? "residual_x" : ""; });
    made.option(
        [](const NormSpec& spec) { return spec.y == spec.x ? "" : fmt::format("y_{}", dtype_name(spec.y)); });
    made.option(
        [](const NormSpec& spec) { return spec.scale == 1.0 ? "" : fmt::format("scale_{:g}", spec.scale); });
    made.over_tile([](const NormSpec& spec) { return spec.hidden > 256 * 8 || spec.rows > 1; });
    return made;
  }();
  return all;
}

template <class Params>
[[nodiscard]] std::vector<double> norm_values(const NormSpec& spec) {
  // Where the mean counts it is 0.
  const auto ordinary = [](std::int64_t row, std::int64_t col) {
    return (kHasBias<Params> ? (row + col) % 2 : (row * 7 + col * 5) % 3) == 0 ? -2.0 : 2.0;
  };
  if (spec.special == NormSpecial::kNonFinite) return non_finite_rows(spec.rows, spec.hidden, ordinary);
  std::vector<double> values;
  for (std::int64_t i = 0; i < spec.rows * spec.hidden; ++i) {
    values.push_back(ordinary(i / spec.hidden, i % spec.hidden));
  }
  return values;
}

template <class Params>
[[nodiscard]] Params make_norm(const NormSpec& spec, Rig& rig) {
  const Shape shape{spec.rows, spec.hidden};
  const Family vectors = spec.special == NormSpecial::kExact ? Family::kIntegers : Family::kNormal;
  Params params;
  params.eps = spec.eps;
  const bool given = spec.special == NormSpecial::kExact || spec.special == NormSpecial::kNonFinite;
  params.x = given ? rig.input_values("x", spec.x, shape, norm_values<Params>(spec), spec.layout)
                   : rig.input("x", spec.x, shape, spec.family, spec.scale, spec.layout);
  params.weight = rig.input("weight", spec.weight, {spec.hidden}, vectors);
  if (spec.fused) {
    params.residual =
        spec.special == NormSpecial::kCancel
            ? rig.input_values("residual", spec.stream, shape, nearly_opposite(rig.values("x")), spec.layout)
            : rig.input("residual", spec.stream, shape, spec.family, spec.scale, spec.layout);
    params.residual_out =
        spec.in_place ? params.residual : rig.output("residual_out", spec.stream, shape, spec.layout);
  }
  if constexpr (kHasBias<Params>) {
    if (spec.bias) params.bias = rig.input("bias", spec.weight, {spec.hidden}, vectors);
  }
  params.y = spec.in_place && !spec.fused ? params.x : rig.output("y", spec.y, shape, spec.layout);
  return params;
}

template <class Params>
[[nodiscard]] std::vector<Params> norm_samples(const Params& params, std::uint64_t seed) {
  constexpr std::int64_t kSampledRows = 64;
  return sample_rows(params, {"x", "residual", "residual_out", "y"}, params.x.shape[0], kSampledRows, seed);
}

template <class Params>
[[nodiscard]] std::vector<Case> norm_large_cases(const OpCases<NormSpec, Params>& op, std::int64_t shrink) {
  std::vector<Case> cases;
  for (DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
    for (std::int64_t hidden : {4096, 8192}) {
      for (bool fused : {false, true}) {
        if (fused && hidden != 4096) continue;
        // 256 MiB or more in and out.
        const std::int64_t rows =
            (std::int64_t{128} << 20) / (hidden * static_cast<std::int64_t>(dtype_size(dtype)) * shrink);
        NormSpec spec{
            .rows = rows, .hidden = hidden, .x = dtype, .stream = dtype, .weight = dtype, .y = dtype};
        spec.fused = fused;
        cases.push_back(make_large_case(op, spec, fused ? "fused_add" : "plain", {rows, hidden}));
        cases.back().floor_share = 0.85;
      }
    }
  }
  return cases;
}

/// y of x · factor + term beside y of x: how far they may be apart, in bounds of y; 0: not a bit, but for the signs of
/// zeros where the factor is negative, since x + residual is +0 either way.
struct NormTwin {
  const char* name;
  double factor;
  double term;
  double bounds;
};

template <class Params>
[[nodiscard]] PreparedCase prepare_norm_relation(const NormSpec& spec, const std::vector<NormTwin>& twins,
                                                 const CaseEnvironment& environment,
                                                 const Launcher<Params>& launcher) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
  Rig& rig = *prepared.rig;
  const Shape shape{spec.rows, spec.hidden};
  Params plain;
  plain.eps = 0.0f;
  plain.weight = rig.input("weight", DType::kF32, {spec.hidden});
  plain.x = rig.input("x", spec.x, shape, Family::kIntegers, 1.0, spec.layout);
  if (spec.fused) plain.residual = rig.input("residual", spec.x, shape, Family::kIntegers, 2.0, spec.layout);
  std::vector<std::function<Status(hipStream_t)>> launches;
  const auto add = [&](Params params, const std::string& name) {
    params.y = rig.output("y" + name, spec.x, shape, spec.layout);
    if (spec.fused) params.residual_out = rig.output("sum" + name, spec.x, shape, spec.layout);
    launches.emplace_back([=](hipStream_t stream) { return launcher(params, stream); });
    return params;
  };
  const Params first = add(plain, "");
  for (const NormTwin& twin : twins) {
    Params params = plain;
    const auto changed = [&](const char* operand, double term) {
      return rig.input_values(std::string(operand) + twin.name, spec.x, shape,
                              shifted(scaled(rig.values(operand), twin.factor), term), spec.layout);
    };
    params.x = changed("x", twin.term);
    if (spec.fused) params.residual = changed("residual", 0.0);
    add(params, twin.name);
  }
  prepared.launch = launch_all(std::move(launches));
  prepared.judge = [first, twins, target = environment.target](const Rig& launched) {
    const HostTensors host(first, [&](const TensorView& view) { return launched.before(view); });
    const std::vector<double> bound = expect(first, host, target, first).front().expected.bound;
    const std::vector<double> y = launched.read("y");
    std::vector<Agreement> agreements;
    for (const NormTwin& twin : twins) {
      const bool same_bits = twin.bounds == 0.0 && twin.factor > 0.0;
      agreements.push_back(
          {fmt::format("{}({})", op_name(first), twin.name), y,
           scaled(launched.read(std::string("y") + twin.name), twin.factor < 0.0 ? -1.0 : 1.0),
           same_bits ? std::vector<double>() : scaled(bound, twin.bounds)});
    }
    return judge_agreements(agreements);
  };
  return prepared;
}

template <class Params>
[[nodiscard]] std::vector<Case> norm_relations(const std::string& relation,
                                               const std::vector<NormTwin>& twins,
                                               const OpLauncher<Params>& launcher) {
  std::vector<Case> cases;
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (Layout layout : {Layout::kContiguous, Layout::kStrided}) {
      for (const Shape& shape : {Shape{3, 65}, Shape{5, 1000}, Shape{2, 4099}}) {
        NormSpec spec{.rows = shape[0], .hidden = shape[1], .x = dtype};
        spec.fused = shape[0] == 5;
        spec.layout = layout;
        cases.push_back(metamorphic_case(
            op_name(Params{}), dtype, layout_name(layout), relation, shape, spec.fused ? "residual" : "",
            shape[0] == 3, [=](const CaseEnvironment& environment) {
              return prepare_norm_relation(spec, twins, environment, launcher_of(environment, launcher));
            }));
      }
    }
  }
  return cases;
}

/// The suite of a norm, of its cases and its relations.
template <class Params>
[[nodiscard]] OpSuite norm_suite(const OpCases<NormSpec, Params>& op, const char* bound,
                                 std::vector<Case> relations) {
  auto suite = make_suite<Params>(bound);
  suite.dtypes = {DType::kF32, DType::kF16, DType::kBF16};
  suite.layouts = {"contiguous", "strided"};
  suite.features = {"plain",    "residual", "residual_f32", "weight_f32", "weight_f16", "weight_bf16",
                    "in_place", "outliers", "integers",     "equal",      "subnormal",  "eps_0"};
  suite.features.emplace_back("y_other_dtype");
  if (kHasBias<Params>) suite.features.emplace_back("bias");
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
        NormSpec spec{
            .rows = hidden > 1024 ? 2 : 5, .hidden = hidden, .x = x, .stream = x, .weight = x, .y = x};
        spec.layout = layout;
        spec.quick = hidden == 257 || hidden == 2056;
        suite.cases.push_back(make_case(op, spec));
        // The weight's dtype and the stream's rotate through all pairs as sizes grow.
        const std::array<DType, 3> floats = {DType::kF32, DType::kF16, DType::kBF16};
        spec.fused = true;
        spec.weight = floats[turn % 3];
        spec.stream = turn % 2 == 0 ? x : DType::kF32;
        spec.bias = kHasBias<Params> && turn % 2 == 0;
        ++turn;
        suite.cases.push_back(make_case(op, spec));
      }
      for (Shape shape : {Shape{1, 96}, Shape{3, 130}, Shape{7, 2050}}) {
        NormSpec spec{
            .rows = shape[0], .hidden = shape[1], .x = x, .stream = x, .weight = DType::kF32, .y = x};
        spec.layout = layout;
        spec.quick = shape[0] == 3;
        for (DType weight : {DType::kF32, DType::kF16, DType::kBF16}) {
          spec.weight = weight;
          spec.fused = true;
          spec.stream = DType::kF32;
          spec.in_place = true;
          suite.cases.push_back(make_case(op, spec));
        }
        spec.stream = x;
        spec.fused = false;
        suite.cases.push_back(make_case(op, spec));
        spec.in_place = false;
        for (Family family : {Family::kOutliers, Family::kIntegers, Family::kEqual, Family::kSubnormal,
                              Family::kOneHot, Family::kUniform}) {
          spec.family = family;
          suite.cases.push_back(make_case(op, spec));
        }
        spec.family = Family::kNormal;
        spec.special = NormSpecial::kNonFinite;
        suite.cases.push_back(make_case(op, spec));
        spec.special = NormSpecial::kCancel;
        spec.fused = true;
        suite.cases.push_back(make_case(op, spec));
        spec.special = NormSpecial::kNone;
        spec.scale = x == DType::kF16 ? 1e4 : 1e30;
        suite.cases.push_back(make_case(op, spec));
        spec.fused = false;
        suite.cases.push_back(make_case(op, spec));
        spec.scale = 1.0;
        spec.eps = 0.0f;
        spec.bias = kHasBias<Params>;
        suite.cases.push_back(make_case(op, spec));
        spec.eps = 1e-5f;
        spec.bias = false;
        if (x == DType::kF32) {
          for (DType y : {DType::kF16, DType::kBF16}) {
            spec.y = y;
            suite.cases.push_back(make_case(op, spec));
          }
        }
      }
      // Above what an unscaled sum of squares in f16 would hold.
      NormSpec large{.rows = 3, .hidden = 515, .x = x, .stream = x, .weight = DType::kF32, .y = x};
      large.layout = layout;
      large.scale = 1e3;
      suite.cases.push_back(make_case(op, large));
      for (std::int64_t hidden : {64, 7, 2049}) {
        NormSpec no_rows{.rows = 0, .hidden = hidden, .x = x, .stream = x, .weight = DType::kF32, .y = x};
        no_rows.layout = layout;
        suite.cases.push_back(make_case(op, no_rows));
      }
      for (const Shape& shape : {Shape{1, 8}, Shape{5, 256}, Shape{2, 4096}}) {
        NormSpec exact{.rows = shape[0], .hidden = shape[1], .x = x, .stream = x, .weight = x, .y = x};
        exact.layout = layout;
        exact.special = NormSpecial::kExact;
        exact.eps = 0.0f;
        exact.bias = kHasBias<Params> && shape[0] != 5;
        exact.quick = shape[1] == 256;
        suite.cases.push_back(make_case(op, exact));
      }
      fill_edges(suite, x, layout_name(layout), [&](const std::string&, std::int64_t hidden) {
        NormSpec spec{.rows = 2, .hidden = hidden, .x = x, .stream = x, .weight = x, .y = x};
        spec.layout = layout;
        return make_case(op, spec);
      });
    }
    for (Shape shape : {Shape{1, 4096}, Shape{64, 1024}, Shape{32, 4096}}) {
      NormSpec spec{.rows = shape[0], .hidden = shape[1], .x = x, .stream = x, .weight = x, .y = x};
      suite.bench_cases.push_back(make_case(op, spec));
      spec.fused = true;
      suite.bench_cases.push_back(make_case(op, spec));
    }
  }
  add_metamorphic(suite, std::move(relations));
  suite.large_cases = [&op](std::int64_t shrink) { return norm_large_cases(op, shrink); };
  return suite;
}

}  // namespace hipforge::harness
