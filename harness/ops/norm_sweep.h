#pragma once

#include "harness/core/tolerance.h"
#include "harness/sweep/metamorphic.h"
#include "harness/sweep/op_cases.h"

#include <fmt/format.h>

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

struct NormSpec : SpecBase {
  std::int64_t rows = 1;
  std::int64_t hidden = 1;
  DType stream = DType::kF32;
  DType weight = DType::kF32;
  DType y = DType::kF32;
  bool fused = false;
  bool bias = false;
  bool in_place = false;
  double scale = 1.0;
  float eps = 1e-5f;
  NormSpecial special = NormSpecial::kNone;
};

template <class Params>
inline constexpr bool kHasBias = requires(Params params) {
  params.bias;
};

inline void declare_norm(Fields<NormSpec>& made) {
  made.dtypes(&NormSpec::stream, &NormSpec::weight, &NormSpec::y);
  made.size("rows", &NormSpec::rows).size("hidden", &NormSpec::hidden);
  made.layout().flag("residual", &NormSpec::fused).says("residual", "plain");
  made.feature([](const NormSpec& spec) { return fmt::format("weight_{}", dtype_name(spec.weight)); });
  made.feature("residual_f32", [](const NormSpec& spec) { return spec.fused && spec.stream == DType::kF32; });
  made.feature("y_other_dtype", [](const NormSpec& spec) { return spec.y != spec.dtype; });
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
  made.special({"large"}, [](const NormSpec& spec) { return spec.scale >= 1e4; });
  made.option(
      [](const NormSpec& spec) { return spec.fused && spec.stream == spec.dtype ? "residual_x" : ""; });
  made.option([](const NormSpec& spec) {
    return spec.y == spec.dtype ? "" : fmt::format("y_{}", dtype_name(spec.y));
  });
  made.option("scale_{:g}", &NormSpec::scale, 1.0);
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
  params.x = given ? rig.input_values("x", spec.dtype, shape, norm_values<Params>(spec), spec.layout)
                   : rig.input("x", spec.dtype, shape, spec.family, spec.scale, spec.layout);
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

/// The outputs of a norm: y, and the sums of x and the residual where there is one. `of_row` takes a row's
/// index and its sums and gives what an element may be off by before it is stored, of its index in the row
/// and y; kExactly: y, which it may change, is rounded once.
inline constexpr double kExactly = -1.0;
template <class Params, class OfRow>
[[nodiscard]] std::vector<OutputExpectation> norm_outputs(const Params& params, std::vector<double> y,
                                                          const std::vector<double>& sums,
                                                          const OfRow& of_row) {
  const auto hidden = static_cast<std::size_t>(params.x.shape[1]);
  Expected normed{params.y.dtype, shape_of(params.y), std::move(y), {}};
  for (std::size_t begin = 0; begin < sums.size(); begin += hidden) {
    const auto error_of = of_row(begin / hidden, std::span(sums).subspan(begin, hidden));
    for (std::size_t i = 0; i < hidden; ++i) {
      double& value = normed.value[begin + i];
      const double error = error_of(i, value);
      if (error == kExactly) value = round_to_dtype(normed.dtype, value);
      normed.bound.push_back(error == kExactly ? 0.0 : error + store_rounding(normed.dtype, value));
    }
  }
  std::vector<OutputExpectation> outputs{{"y", std::move(normed)}};
  if (!params.residual.present()) return outputs;
  outputs.push_back(
      {"residual_out", expect_sums(params.residual_out.dtype, shape_of(params.residual_out), sums)});
  return outputs;
}

/// y of x · factor + term beside y of x: how far they may be apart, in bounds of y; 0: not a bit, but for the
/// signs of zeros where the factor is negative, since x + residual is +0 either way.
struct NormTwin {
  const char* name;
  double factor;
  double term;
  double bounds;
};

template <class Params>
[[nodiscard]] Judge norms_agree(Relation<Params>& made, const std::vector<NormTwin>& twins) {
  const bool fused = made.options == "residual";
  Params plain;
  plain.eps = 0.0f;
  plain.weight = made.rig.input("weight", DType::kF32, {made.shape[1]});
  plain.x = made.input("x", made.shape, Family::kIntegers);
  if (fused) plain.residual = made.input("residual", made.shape, Family::kIntegers, 2.0);
  const auto launch = [&](Params params, const std::string& suffix) {
    params.y = made.output("y" + suffix, made.shape);
    if (fused) params.residual_out = made.output("sum" + suffix, made.shape);
    made.launch(params);
    return params;
  };
  const Params first = launch(plain, "");
  for (const NormTwin& twin : twins) {
    Params params = plain;
    const auto changed = [&](const char* operand, double term) {
      return made.input(std::string(operand) + twin.name, made.shape,
                        shifted(scaled(made.rig.values(operand), twin.factor), term));
    };
    params.x = changed("x", twin.term);
    if (fused) params.residual = changed("residual", 0.0);
    launch(params, twin.name);
  }
  return [first, twins, target = made.target](const Rig& launched) {
    const std::vector<double> bound = oracle(launched, first, target, first).front().expected.bound;
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
}

template <class Params>
[[nodiscard]] std::vector<Case> norm_relations(const std::string& name, const std::vector<NormTwin>& twins,
                                               const OpLauncher<Params>& launcher) {
  std::vector<Case> cases;
  for (const Form& form : forms("3x65! 2x4099 \n 5x1000 : residual")) {
    cases.push_back(
        relation_case(launcher, name, form, [=](auto& made) { return norms_agree(made, twins); }));
  }
  return cases;
}

// rows x hidden. A weight of its own dtype, unless a line says more.
inline constexpr std::string_view kNormTable = R"(
  # The weight's dtype and the stream's take turns through all pairs as sizes grow.
  $fused = residual weight=<f32|f16|bf16> <bias|> <|stream=f32>
  5x{1,2,7,8,31,64,127,256,257!,511,1024} 2x{2047,2048,2056!,4099} : ; $fused
  $fused = residual stream=f32 in_place weight={f32,f16,bf16}
  $family = in_place,outliers,integers,equal,subnormal,one_hot,uniform,non_finite,scale=large,eps=0 bias
  1x96 3x130! 7x2050 : $fused ; weight=bf16 {$family} ; weight=bf16 residual {special=cancel,scale=large}
  # Above what an unscaled sum of squares in f16 would hold.
  3x515 : weight=f32 scale=1e3
  0x{64,7,2049} : weight=f32
  1x8 2x4096 : special=exact eps=0 bias
  5x256! : special=exact eps=0
)";

inline constexpr std::string_view kNormCasts = "[f32] \n 1x96 3x130! 7x2050 : weight=bf16 y={f16,bf16}";

// 256 MiB or more in and out.
inline constexpr std::string_view kLargeNorms = R"(
  $both = what=plain ; what=fused_add residual
  [f16 bf16] share=0.85 shrink=rows
  16384x4096 : $both
  8192x8192 : what=plain
  [f32] share=0.85 shrink=rows
  8192x4096 : $both
  4096x8192 : what=plain
)";

/// The suite of a norm, of its cases and its relations.
template <class Params>
[[nodiscard]] OpSuite norm_suite(const OpCases<NormSpec, Params>& op, const char* bound,
                                 Relations<Params>* relations) {
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
  const auto settle = [](NormSpec& spec) { spec.bias = spec.bias && kHasBias<Params>; };
  fill_suite(
      suite, op,
      {kNormTable, "2x9", "1x4096 64x1024 32x4096 : ; residual", settle, kNormCasts, kLargeNorms, relations});
  return suite;
}

}  // namespace hipforge::harness
