#include "kernels/embedding.h"

#include "harness/core/tolerance.h"
#include "harness/sweep/metamorphic.h"
#include "harness/sweep/op_cases.h"
#include "kernels/runtime/device_error.h"
#include "reference/embedding.h"

#include <fmt/format.h>

#include <limits>

namespace hipforge::harness {

constexpr const char* kEmbeddingBound = R"(
The product's rounding in f32 unless f32 holds it, then the store's unless y's dtype holds the
oracle's value. Where both are absent the copy is exact: bound 0.)";

// y, within kEmbeddingBound.
Oracle<EmbeddingParams> expect;

namespace {

struct Spec : SpecBase {
  std::int64_t tokens = 1;
  std::int64_t vocab = 1;
  std::int64_t hidden = 1;
  DType y = DType::kF32;
  float scale = 1.0f;
  bool bad_ids = false;
  bool repeated_ids = false;
  bool strided_ids = false;
  bool column_slice = false;
  bool non_finite = false;
  bool large = false;
  bool mixed_alignment = false;  // y in the other layout than the rest
};

constexpr std::int64_t kWaveElements = 32 * 8;  // what the smallest block covers
// Columns before a slice, and beside it in all: rows stay aligned, and the strides differ.
constexpr std::int64_t kSliceFirst = 8;
constexpr std::int64_t kTableGap = 16;
constexpr std::int64_t kYGap = 40;
constexpr std::int64_t kIdStride = 3;

// Both ends of the table, then a walk that touches every row before it repeats one.
std::vector<double> make_ids(const Spec& spec) {
  std::vector<double> ids;
  for (std::int64_t token = 0; token < spec.tokens; ++token) {
    std::int64_t id = token == 0 ? spec.vocab - 1 : (token - 1) * 7919 % spec.vocab;
    if (spec.repeated_ids) id = token % 2 == 0 ? spec.vocab / 2 : spec.vocab - 1;
    ids.push_back(static_cast<double>(id));
  }
  if (spec.bad_ids) {
    // One past the end, one before the start, and both ends of the type, between good ids.
    const std::int64_t bad[] = {spec.vocab, -1, std::numeric_limits<std::int32_t>::max(),
                                std::numeric_limits<std::int32_t>::min()};
    for (std::size_t i = 0; i < ids.size(); i += 3) ids[i] = static_cast<double>(bad[i / 3 % 4]);
  }
  return ids;
}

EmbeddingParams make(const Spec& spec, Rig& rig) {
  const Shape table_shape{spec.vocab, spec.hidden + (spec.column_slice ? kTableGap : 0)};
  const Shape y_shape{spec.tokens, spec.hidden + (spec.column_slice ? kYGap : 0)};
  EmbeddingParams params;
  params.scale = spec.scale;
  if (spec.non_finite) {
    params.table =
        rig.input_values("table", spec.dtype, table_shape, non_finite_values(table_shape), spec.layout);
  } else {
    const double magnitude = !spec.large ? 1.0 : spec.dtype == DType::kF16 ? 1e4 : 1e30;
    params.table = rig.input("table", spec.dtype, table_shape, spec.family, magnitude, spec.layout);
  }
  const std::vector<double> ids = make_ids(spec);
  if (spec.strided_ids) {
    // What lies between them is out of range: to read it shows.
    std::vector<double> matrix(ids.size() * kIdStride, -7.0);
    for (std::size_t i = 0; i < ids.size(); ++i) matrix[i * kIdStride] = ids[i];
    params.ids = rig.input_values("ids", DType::kI32, {spec.tokens, kIdStride}, matrix, spec.layout);
    params.ids.rank = 1;
  } else {
    params.ids = rig.input_values("ids", DType::kI32, {spec.tokens}, ids, spec.layout);
  }
  params.y = rig.output("y", spec.y, y_shape, spec.mixed_alignment ? other_layout(spec.layout) : spec.layout);
  if (spec.column_slice) {
    params.table = slice_axis(params.table, 1, kSliceFirst, spec.hidden);
    params.y = slice_axis(params.y, 1, kSliceFirst, spec.hidden);
  }
  const std::uint32_t bad_token = kDeviceErrorToken;
  params.error_word = rig.error_word(spec.bad_ids && params.y.numel() > 0 ? bad_token : 0);
  return params;
}

void declare(Fields<Spec>& made) {
  made.size("tokens", &Spec::tokens).size("vocab", &Spec::vocab);
  made.size("hidden", &Spec::hidden).layout().floats("y", &Spec::y);
  made.feature([](const Spec& spec) { return fmt::format("y_{}", dtype_name(spec.y)); });
  made.feature("scale", [](const Spec& spec) { return spec.scale != 1.0f; });
  made.flag("bad_ids", &Spec::bad_ids).says().flag("repeated_ids", &Spec::repeated_ids).says();
  made.flag("strided_ids", &Spec::strided_ids).says().flag("column_slice", &Spec::column_slice).says();
  made.flag("mixed_alignment", &Spec::mixed_alignment).says().flag("non_finite", &Spec::non_finite).says();
  made.flag("large", &Spec::large).says().family("family", &Spec::family).scalar("scale", &Spec::scale, 1.0f);
  made.special({"non_finite", "minus_infinity"}, &Spec::non_finite).special({"large"}, &Spec::large);
  made.over_tile([](const Spec& spec) { return spec.tokens > 1 || spec.hidden > kWaveElements; });
}

Work work(const Spec& spec, const EmbeddingParams& params) {
  const auto size = [](DType dtype) { return static_cast<std::int64_t>(dtype_size(dtype)); };
  // Of the table, a row for each token.
  return {.flops = params.y.numel(),
          .bytes = spec.tokens * (size(DType::kI32) + spec.hidden * (size(spec.dtype) + size(spec.y)))};
}

const OpCases<Spec, EmbeddingParams> kCases{embedding, declared<Spec, declare>, make, work};

}  // namespace

std::vector<OutputExpectation> expect(const EmbeddingParams& part, const HostTensors& host, const Target&,
                                      const EmbeddingParams&) {
  const std::int64_t vocab = part.table.shape[0];
  const std::int64_t hidden = part.y.shape[1];
  // The rows that are looked up, in the order of the tokens.
  std::vector<double> rows;
  std::vector<std::int32_t> row_of_token;
  for (double id : host.values("ids")) {
    const bool good = id >= 0.0 && id < static_cast<double>(vocab);
    row_of_token.push_back(good ? static_cast<std::int32_t>(row_of_token.size()) : -1);
    const auto row = good ? host.rows("table", static_cast<std::int64_t>(id), 1).values
                          : std::vector<double>(static_cast<std::size_t>(hidden));
    rows.insert(rows.end(), row.begin(), row.end());
  }
  const DType dtype = part.y.dtype;
  const auto tokens = static_cast<std::int64_t>(row_of_token.size());
  const auto scale = static_cast<double>(part.scale);
  Expected y{dtype, {tokens, hidden}, reference::embedding(rows, row_of_token, tokens, hidden, scale), {}};
  for (double value : y.value) {
    const auto lost = [value](DType to) {
      return round_to_dtype(to, value) == value ? 0.0 : store_rounding(to, value);
    };
    y.bound.push_back(lost(DType::kF32) + (dtype == DType::kF32 ? 0.0 : lost(dtype)));
  }
  return {{"y", std::move(y)}};
}

// tokens x vocab x hidden. The output's dtype takes turns.
constexpr std::string_view kTable = R"(
  $y = y=<f32|f16|bf16>
  1x1x1 2x5x7 3x4x8 5x11x31 4x9x256 3x13x257 2x3x1024 1x2x2049 1x64x4097 300x17x9 0x5x8 5x5x0 : $y
  $odd = scale=1.3,bad_ids,repeated_ids,strided_ids,column_slice scale=-0.25,mixed_alignment,non_finite,large
  $family = outliers,integers,subnormal,uniform,equal,one_hot
  3x7x16 13x29x173! 2x6x520 : y={f32,f16,bf16} ; $y {$odd,$family}
  0x1x2049
)";

OpSuite embedding_suite() {
  auto suite = make_suite<EmbeddingParams>(kEmbeddingBound);
  suite.features = words_of(
      "y_f32 y_f16 y_bf16 scale bad_ids repeated_ids strided_ids column_slice mixed_alignment non_finite "
      "outliers integers subnormal");
  exclude_families(suite, {"cancel"}, "nothing is added");
  exclude_families(suite, {"masked_rows", "nan_behind_mask"}, "there is no mask");
  // A pack, a wave's lanes, what a wave and what the largest block takes.
  for (std::int64_t at : {8, 32, 64, 256, 512, 2048}) suite.edges.push_back({"hidden", at});

  fill_suite(suite, kCases,
             {kTable, "3x4x1 : y=<f32|f16|bf16>", "{1,512}x4096x256 256x1024x1024", [](Spec& spec) {
                if (spec.tokens == 256) spec.y = spec.dtype;  // of the benches one
              }});
  return suite;
}

}  // namespace hipforge::harness
