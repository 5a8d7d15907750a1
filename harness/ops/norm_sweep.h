#pragma once

#include "harness/sweep/metamorphic.h"
#include "harness/sweep/op_cases.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
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
  std::int64_t rows = 1;
  std::int64_t hidden = 1;
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

inline void declare_norm(Fields<NormSpec>& made) {
  made.dtype(&NormSpec::x).size("rows", &NormSpec::rows).size("hidden", &NormSpec::hidden);
  made.layout("layout", &NormSpec::layout).flag("residual", &NormSpec::fused).says("residual", "plain");
  made.feature([](const NormSpec& spec) { return fmt::format("weight_{}", dtype_name(spec.weight)); });
  made.feature("residual_f32", [](const NormSpec& spec) { return spec.fused && spec.stream == DType::kF32; });
  made.feature("y_other_dtype", [](const NormSpec& spec) { return spec.y != spec.x; });
  made.flag("in_place", &NormSpec::in_place).says("in_place").family("family", &NormSpec::family);
  made.choice<NormSpecial>(
      "special", &NormSpec::special,
      {{"none", NormSpecial::kNone},
       {"exact", NormSpecial::kExact, "integers", {"integers"}},
       {"non_finite", NormSpecial::kNonFinite, "non_finite", {"non_finite", "minus_infinity"}},
       {"cancel", NormSpecial::kCancel, "cancel", {"cancel"}}});
  made.floats("weight", &NormSpec::weight).floats("stream", &NormSpec::stream);
  made.floats("y", &NormSpec::y).choice<float>("eps", &NormSpec::eps, {{"1e-5", 1e-5f}, {"0", 0.0f}}, 0);
  made.flag("bias", &NormSpec::bias).says("bias");
  made.feature("eps_0", [](const NormSpec& spec) { return spec.eps == 0.0f; });
  made.scalar("scale", &NormSpec::scale, 1.0);
  made.special({"large"},
               [](const NormSpec& spec) { return spec.scale >= 1e4 && spec.special == NormSpecial::kNone; });
  made.option([](const NormSpec& spec) { return spec.fused && spec.stream == spec.x ? "residual_x" : ""; });
  made.option(
      [](const NormSpec& spec) { return spec.y == spec.x ? "" : fmt::format("y_{}", dtype_name(spec.y)); });
  made.option(
      [](const NormSpec& spec) { return spec.scale == 1.0 ? "" : fmt::format("scale_{:g}", spec.scale); });
  made.over_tile([](const NormSpec& spec) { return spec.hidden > 256 * 8 || spec.rows > 1; });
}

template <class Params>
[[nodiscard]] std::vector<double> norm_values(const NormSpec& spec) {
  // Where the mean counts it is 0.
  const auto ordinary = [](std::int64_t row, std::int64_t col) {
    return (kHasBias<Params> ? (row + col) % 2 : (row * 7 + col * 5) % 3) == 0 ? -2.0 : 2.0;
  };
  if (spec.special == NormSpecial::kNonFinite) return non_finite_rows(spec.rows, spec.hidden, ordinary);
  return values_of({spec.rows, spec.hidden},
                   [&](std::int64_t i) { return ordinary(i / spec.hidden, i % spec.hidden); });
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

[[nodiscard]] inline NormSpec norm_base(DType dtype, Layout layout) {
  return {.x = dtype, .stream = dtype, .weight = dtype, .y = dtype, .layout = layout};
}

template <class Params>
[[nodiscard]] std::vector<Case> norm_large_cases(const OpCases<NormSpec, Params>& op, std::int64_t shrink) {
  std::vector<Case> cases;
  for (DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
    for (const auto& [hidden, fused] : {std::pair{4096, false}, {4096, true}, {8192, false}}) {
      NormSpec spec = norm_base(dtype, Layout::kContiguous);
      spec.hidden = hidden;
      spec.fused = fused;
      // 256 MiB or more in and out.
      spec.rows =
          (std::int64_t{128} << 20) / (hidden * static_cast<std::int64_t>(dtype_size(dtype)) * shrink);
      cases.push_back(make_large_case(op, spec, fused ? "fused_add" : "plain", {spec.rows, hidden}));
      cases.back().floor_share = 0.85;
    }
  }
  return cases;
}

/// The outputs of a norm, with the sums of x and the residual where there is one.
template <class Params>
[[nodiscard]] std::vector<OutputExpectation> norm_outputs(const Params& params, Expected normed,
                                                          const std::vector<double>& sums) {
  std::vector<OutputExpectation> outputs{{"y", std::move(normed)}};
  if (!params.residual.present()) return outputs;
  outputs.push_back(
      {"residual_out", expect_sums(params.residual_out.dtype, shape_of(params.residual_out), sums)});
  return outputs;
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
[[nodiscard]] std::vector<Case> norm_relations(const std::string& name, const std::vector<NormTwin>& twins,
                                               const OpLauncher<Params>& launcher) {
  std::vector<Case> cases;
  const auto add = [&](DType dtype, Layout layout, const Shape& shape) {
    const bool fused = shape[0] == 5;
    const auto prepare = [=](Relation<Params>& relation) {
      Rig& rig = relation.rig;
      Params plain;
      plain.eps = 0.0f;
      plain.weight = rig.input("weight", DType::kF32, {shape[1]});
      plain.x = rig.input("x", dtype, shape, Family::kIntegers, 1.0, layout);
      if (fused) plain.residual = rig.input("residual", dtype, shape, Family::kIntegers, 2.0, layout);
      const auto launch = [&](Params params, const std::string& suffix) {
        params.y = rig.output("y" + suffix, dtype, shape, layout);
        if (fused) params.residual_out = rig.output("sum" + suffix, dtype, shape, layout);
        relation.launch(params);
        return params;
      };
      const Params first = launch(plain, "");
      for (const NormTwin& twin : twins) {
        Params params = plain;
        const auto changed = [&](const char* operand, double term) {
          return rig.input_values(std::string(operand) + twin.name, dtype, shape,
                                  shifted(scaled(rig.values(operand), twin.factor), term), layout);
        };
        params.x = changed("x", twin.term);
        if (fused) params.residual = changed("residual", 0.0);
        launch(params, twin.name);
      }
      return [first, twins, target = relation.target](const Rig& launched) {
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
        return agreements;
      };
    };
    cases.push_back(
        relation_case(launcher, dtype, layout, name, shape, fused ? "residual" : "", shape[0] == 3, prepare));
  };
  for_each_form({{3, 65}, {5, 1000}, {2, 4099}}, add);
  return cases;
}

// rows x hidden. A weight of its own dtype, unless a line says more.
inline constexpr std::string_view kNormTable = R"(
  # The weight's dtype and the stream's take turns through all pairs as sizes grow.
  $fused = residual weight=<f32|f16|bf16> <bias|> <|stream=f32>
  5x{1,2,7,8,31,64,127,256,257!,511,1024} 2x{2047,2048,2056!,4099} : ; $fused
  $fused = residual stream=f32 in_place weight={f32,f16,bf16}
  $family = in_place,outliers,integers,equal,subnormal,one_hot,uniform,non_finite,scale=1e30,eps=0 bias
  1x96 3x130! 7x2050 : $fused ; weight=bf16 {$family} ; weight=bf16 residual {special=cancel,scale=1e30}
  # Above what an unscaled sum of squares in f16 would hold.
  3x515 : weight=f32 scale=1e3
  0x{64,7,2049} : weight=f32
  1x8 2x4096 : special=exact eps=0 bias
  5x256! : special=exact eps=0
)";

inline constexpr std::string_view kNormCasts = "1x96 3x130! 7x2050 : weight=bf16 y={f16,bf16}";

/// The suite of a norm, of its cases and its relations.
template <class Params>
[[nodiscard]] OpSuite norm_suite(const OpCases<NormSpec, Params>& op, const char* bound,
                                 std::vector<Case> relations) {
  auto suite = make_suite<Params>(bound);
  suite.features = words_of(
      "plain residual residual_f32 weight_f32 weight_f16 weight_bf16 in_place outliers integers equal "
      "subnormal eps_0 y_other_dtype");
  if (kHasBias<Params>) suite.features.emplace_back("bias");
  // A pack, a wave's lanes, what a wave takes at once and what it holds, and what the largest block holds.
  for (std::int64_t at : {8, 32, 64, 256, 512, 1024, 2048, 16384}) suite.edges.push_back({"hidden", at});
  suite.exclusions = {
      {"y_other_dtype", "", "y takes another dtype from an f32 x alone", {DType::kF16, DType::kBF16}}};
  exclude_families(suite, {"masked_rows", "nan_behind_mask"}, "there is no mask");
  const Sweep<NormSpec> sweep{kNormTable, "2x9", "1x4096 64x1024 32x4096 : ; residual",
                              [](NormSpec& spec) {
                                spec.bias = spec.bias && kHasBias<Params>;
                                if (spec.x == DType::kF16 && spec.scale > 1e4) spec.scale = 1e4;
                              },
                              norm_base};
  fill_suite(suite, op, sweep);
  for (Layout layout : {Layout::kContiguous, Layout::kStrided}) {
    std::size_t turn = 0;
    add_cases(suite.cases, op, kNormCasts, norm_base(DType::kF32, layout), sweep.settle, turn);
  }
  add_metamorphic(suite, std::move(relations));
  suite.large_cases = [&op](std::int64_t shrink) { return norm_large_cases(op, shrink); };
  return suite;
}

}  // namespace hipforge::harness
