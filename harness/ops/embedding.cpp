#include "harness/ops/embedding.h"

#include "harness/core/tolerance.h"
#include "harness/sweep/column_slice.h"
#include "harness/sweep/families.h"
#include "harness/sweep/variants.h"
#include "kernels/embedding.h"
#include "kernels/runtime/device_error.h"
#include "reference/embedding.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace hipforge::harness {
namespace {

struct Spec {
  std::int64_t tokens;
  std::int64_t vocab;
  std::int64_t hidden;
  DType table = DType::kF32;
  DType y = DType::kF32;
  Layout layout = Layout::kContiguous;
  float scale = 1.0f;
  bool bad_ids = false;
  bool repeated_ids = false;
  bool strided_ids = false;
  bool column_slice = false;
  bool non_finite = false;
  bool large = false;
  bool mixed_alignment = false;  // y in the other layout than the rest
  Family family = Family::kNormal;
  bool quick = false;
};

constexpr std::int64_t kWaveElements = 32 * 8;  // what the smallest block covers
// Columns before a slice, and beside it in all: rows stay aligned, and the strides differ.
constexpr std::int64_t kSliceFirst = 8;
constexpr std::int64_t kTableGap = 16;
constexpr std::int64_t kYGap = 40;
constexpr std::int64_t kIdStride = 3;

std::vector<std::string> features_of(const Spec& spec) {
  std::vector<std::string> features{fmt::format("y_{}", dtype_name(spec.y))};
  if (spec.scale != 1.0f) features.emplace_back("scale");
  if (spec.bad_ids) features.emplace_back("bad_ids");
  if (spec.repeated_ids) features.emplace_back("repeated_ids");
  if (spec.strided_ids) features.emplace_back("strided_ids");
  if (spec.column_slice) features.emplace_back("column_slice");
  if (spec.mixed_alignment) features.emplace_back("mixed_alignment");
  if (spec.non_finite) features.emplace_back("non_finite");
  if (spec.large) features.emplace_back("large");
  if (spec.family != Family::kNormal) features.emplace_back(family_name(spec.family));
  return features;
}

std::vector<std::string> families_of(const Spec& spec) {
  if (spec.non_finite) return {"non_finite", "minus_infinity"};
  return {spec.large ? "large" : input_family(spec.family)};
}

// Both ends of the table, then a walk that touches every row before it repeats one.
std::vector<std::int32_t> make_ids(const Spec& spec) {
  std::vector<std::int32_t> ids;
  for (std::int64_t token = 0; token < spec.tokens; ++token) {
    std::int64_t id = token == 0 ? spec.vocab - 1 : (token - 1) * 7919 % spec.vocab;
    if (spec.repeated_ids) id = token % 2 == 0 ? spec.vocab / 2 : spec.vocab - 1;
    ids.push_back(static_cast<std::int32_t>(id));
  }
  if (spec.bad_ids) {
    // One past the end, one before the start, and both ends of the type, between good ids.
    const std::int64_t bad[] = {spec.vocab, -1, std::numeric_limits<std::int32_t>::max(),
                                std::numeric_limits<std::int32_t>::min()};
    for (std::size_t i = 0; i < ids.size(); i += 3) ids[i] = static_cast<std::int32_t>(bad[i / 3 % 4]);
  }
  return ids;
}

PreparedCase prepare(const Spec& spec, const CaseEnvironment& environment) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
  Rig& rig = *prepared.rig;
  const std::int64_t table_cols = spec.hidden + (spec.column_slice ? kTableGap : 0);
  const std::int64_t y_cols = spec.hidden + (spec.column_slice ? kYGap : 0);
  const std::int64_t first_col = spec.column_slice ? kSliceFirst : 0;
  EmbeddingParams params;
  params.scale = spec.scale;
  if (spec.non_finite) {
    constexpr double kInf = std::numeric_limits<double>::infinity();
    const double cycle[] = {1.5, kInf, -0.0, std::nan(""), -kInf, 0.0, -2.0};
    std::vector<double> values;
    for (std::int64_t i = 0; i < spec.vocab * table_cols; ++i) values.push_back(cycle[i % 7]);
    params.table = rig.input_values("table", spec.table, {spec.vocab, table_cols}, values, spec.layout);
  } else {
    const double magnitude = !spec.large ? 1.0 : spec.table == DType::kF16 ? 1e4 : 1e30;
    params.table =
        rig.input("table", spec.table, {spec.vocab, table_cols}, spec.family, magnitude, spec.layout);
  }
  const std::vector<std::int32_t> ids = make_ids(spec);
  if (spec.strided_ids) {
    // What lies between them is out of range: to read it shows.
    std::vector<double> matrix(static_cast<std::size_t>(spec.tokens * kIdStride), -7.0);
    for (std::size_t i = 0; i < ids.size(); ++i) matrix[i * kIdStride] = ids[i];
    params.ids = rig.input_values("ids", DType::kI32, {spec.tokens, kIdStride}, matrix, spec.layout);
    params.ids.rank = 1;
  } else {
    const std::vector<double> values(ids.begin(), ids.end());
    params.ids = rig.input_values("ids", DType::kI32, {spec.tokens}, values, spec.layout);
  }
  params.y = rig.output("y", spec.y, {spec.tokens, y_cols},
                        spec.mixed_alignment ? other_layout(spec.layout) : spec.layout);
  if (spec.column_slice) {
    params.table = slice_columns(params.table, first_col, spec.hidden);
    params.y = slice_columns(params.y, first_col, spec.hidden);
  }
  params.error_word = rig.error_word();
  if (spec.bad_ids && spec.tokens * spec.hidden > 0) rig.expect_error_word(kDeviceErrorToken);
  const auto size = [](DType dtype) { return static_cast<std::int64_t>(dtype_size(dtype)); };
  prepared.bytes = spec.tokens * (size(DType::kI32) + spec.hidden * (size(spec.table) + size(spec.y)));
  prepared.flops = spec.tokens * spec.hidden;
  prepared.params = params;
  prepared.launch = [params, target = environment.target](hipStream_t stream) {
    return embedding(params, stream, target);
  };
  prepared.expect = [spec, ids, &rig, table_cols, y_cols, first_col, target = environment.target] {
    const std::vector<double> table = slice_columns(rig.values("table"), table_cols, first_col, spec.hidden);
    EmbeddingInputs inputs;
    inputs.table = table;
    inputs.ids = ids;
    inputs.vocab = spec.vocab;
    inputs.hidden = spec.hidden;
    inputs.scale = static_cast<double>(spec.scale);
    inputs.y_dtype = spec.y;
    const Expected y = embedding_expected(inputs, target);
    return std::vector<OutputExpectation>{
        {"y", spec.column_slice ? expect_columns(y, y_cols, first_col) : y}};
  };
  return prepared;
}

const SpecKnobs<Spec>& knobs() {
  static const SpecKnobs<Spec> all = [] {
    SpecKnobs<Spec> made;
    made.size("tokens", &Spec::tokens).size("vocab", &Spec::vocab).size("hidden", &Spec::hidden);
    made.layout("layout", &Spec::layout).family("family", &Spec::family).scalar("scale", &Spec::scale, 1.0f);
    made.flag("bad_ids", &Spec::bad_ids).flag("repeated_ids", &Spec::repeated_ids);
    made.flag("strided_ids", &Spec::strided_ids).flag("column_slice", &Spec::column_slice);
    made.flag("large", &Spec::large)
        .flag("non_finite", &Spec::non_finite)
        .flag("mixed_alignment", &Spec::mixed_alignment);
    return made;
  }();
  return all;
}

Case make_case(const Spec& spec) {
  Case test;
  test.op = "embedding";
  test.dtype = spec.table;
  test.layout = layout_name(spec.layout);
  test.features = features_of(spec);
  test.families = families_of(spec);
  set_sizes(test, {{"tokens", spec.tokens}, {"vocab", spec.vocab}, {"hidden", spec.hidden}});
  test.shape = shape_name({spec.tokens, spec.vocab, spec.hidden});
  test.odd = any_odd({spec.tokens, spec.vocab, spec.hidden});
  test.over_tile = spec.tokens > 1 || spec.hidden > kWaveElements;
  test.quick = spec.quick;
  std::string options;
  for (const std::string& feature : test.features) options += (options.empty() ? "" : ".") + feature;
  test.id = fmt::format("embedding/{}/{}/{}/{}", dtype_name(spec.table), test.layout, test.shape, options);
  test.prepare = [spec](const CaseEnvironment& environment) { return prepare(spec, environment); };
  test.variants = knobs().variants(spec, &make_case);
  return test;
}

}  // namespace

Expected embedding_expected(const EmbeddingInputs& inputs, const Target&) {
  Expected expected;
  expected.dtype = inputs.y_dtype;
  expected.shape = {static_cast<std::int64_t>(inputs.ids.size()), inputs.hidden};
  expected.value = reference::embedding(inputs.table, inputs.ids, inputs.vocab, inputs.hidden, inputs.scale);
  for (double y : expected.value) {
    const auto lost = [y](DType dtype) {
      return round_to_dtype(dtype, y) == y ? 0.0 : store_rounding(dtype, y);
    };
    expected.bound.push_back(lost(DType::kF32) +
                             (inputs.y_dtype == DType::kF32 ? 0.0 : lost(inputs.y_dtype)));
  }
  return expected;
}

OpSuite embedding_suite() {
  OpSuite suite;
  suite.op = "embedding";
  suite.bound = kEmbeddingBound;
  suite.dtypes = {DType::kF32, DType::kF16, DType::kBF16};
  suite.layouts = {"contiguous", "strided"};
  suite.features = {"y_f32",        "y_f16",       "y_bf16",       "scale",           "bad_ids",
                    "repeated_ids", "strided_ids", "column_slice", "mixed_alignment", "non_finite",
                    "outliers",     "integers",    "subnormal"};
  exclude_families(suite, {"cancel"}, "nothing is added");
  exclude_families(suite, {"masked_rows", "nan_behind_mask"}, "there is no mask");
  // A pack, a wave's lanes, what a wave and what the largest block takes.
  for (std::int64_t at : {8, 32, 64, 256, 512, 2048}) suite.edges.push_back({"hidden", at});

  const DType floats[] = {DType::kF32, DType::kF16, DType::kBF16};
  for (DType table : suite.dtypes) {
    for (Layout layout : {Layout::kContiguous, Layout::kStrided}) {
      std::size_t turn = 0;
      const auto add = [&](Spec spec) {
        spec.table = table;
        spec.layout = layout;
        suite.cases.push_back(make_case(spec));
      };
      // Around packs, waves and blocks; the output's dtype rotates.
      for (Shape shape : {Shape{1, 1, 1}, Shape{2, 5, 7}, Shape{3, 4, 8}, Shape{5, 11, 31}, Shape{4, 9, 256},
                          Shape{3, 13, 257}, Shape{2, 3, 1024}, Shape{1, 2, 2049}, Shape{1, 64, 4097},
                          Shape{300, 17, 9}, Shape{0, 5, 8}, Shape{5, 5, 0}}) {
        add({.tokens = shape[0], .vocab = shape[1], .hidden = shape[2], .y = floats[turn++ % 3]});
      }
      for (Shape shape : {Shape{3, 7, 16}, Shape{13, 29, 173}, Shape{2, 6, 520}}) {
        Spec base{.tokens = shape[0], .vocab = shape[1], .hidden = shape[2], .quick = shape[0] == 13};
        for (DType y : floats) {
          base.y = y;
          add(base);
        }
        const auto next_y = [&] { return floats[turn++ % 3]; };
        Spec spec = base;
        spec.y = next_y();
        spec.scale = 1.3f;
        add(spec);
        spec = base;
        spec.y = next_y();
        spec.bad_ids = true;
        add(spec);
        spec = base;
        spec.y = next_y();
        spec.repeated_ids = true;
        add(spec);
        spec = base;
        spec.y = next_y();
        spec.strided_ids = true;
        add(spec);
        spec = base;
        spec.y = next_y();
        spec.column_slice = true;
        spec.scale = -0.25f;
        add(spec);
        spec = base;
        spec.y = next_y();
        spec.mixed_alignment = true;
        add(spec);
        spec = base;
        spec.y = next_y();
        spec.non_finite = true;
        add(spec);
        spec = base;
        spec.y = next_y();
        spec.large = true;
        add(spec);
        for (Family family : {Family::kOutliers, Family::kIntegers, Family::kSubnormal, Family::kUniform,
                              Family::kEqual, Family::kOneHot}) {
          spec = base;
          spec.y = next_y();
          spec.family = family;
          add(spec);
        }
      }
      add({.tokens = 0, .vocab = 1, .hidden = 2049});
      fill_edges(suite, table, layout_name(layout), [&](const std::string&, std::int64_t hidden) {
        return make_case({.tokens = 3,
                          .vocab = 4,
                          .hidden = hidden,
                          .table = table,
                          .y = floats[turn++ % 3],
                          .layout = layout});
      });
    }
    suite.bench_cases.push_back(
        make_case({.tokens = 1, .vocab = 4096, .hidden = 256, .table = table, .y = DType::kF32}));
    suite.bench_cases.push_back(
        make_case({.tokens = 512, .vocab = 4096, .hidden = 256, .table = table, .y = DType::kF32}));
    suite.bench_cases.push_back(
        make_case({.tokens = 256, .vocab = 1024, .hidden = 1024, .table = table, .y = table}));
  }
  return suite;
}

}  // namespace hipforge::harness
