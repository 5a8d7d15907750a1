#include "harness/ops/causal_mask.h"

#include "harness/sweep/families.h"
#include "harness/sweep/variants.h"
#include "kernels/causal_mask.h"
#include "reference/causal_mask.h"

#include <fmt/format.h>

#include <array>

namespace hipforge::harness {
namespace {

struct Spec : CausalMaskInputs {
  Layout layout = Layout::kContiguous;
  bool quick = false;
};

constexpr std::int64_t kBlockElements = 256 * 8;  // what one block covers

std::vector<std::string> features_of(const CausalMaskInputs& spec) {
  std::vector<std::string> features;
  if (spec.window > 0 && spec.prefix_len > 0) features.emplace_back("window_and_prefix");
  if (spec.window > 0) features.emplace_back("window");
  if (spec.prefix_len > 0) features.emplace_back("prefix");
  if (spec.q_len > spec.kv_len) features.emplace_back("q_longer");
  if (spec.q_len == 1) features.emplace_back("decode");
  if (features.empty()) features.emplace_back("causal");
  return features;
}

PreparedCase prepare(const Spec& spec, const CaseEnvironment& environment) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
  CausalMaskParams params;
  params.mask = prepared.rig->output("mask", spec.dtype, {spec.q_len, spec.kv_len}, spec.layout);
  params.window = spec.window;
  params.prefix_len = spec.prefix_len;
  prepared.bytes = params.mask.numel() * static_cast<std::int64_t>(dtype_size(spec.dtype));
  prepared.ceiling = Ceiling::kWrite;
  prepared.params = params;
  prepared.launch = [params, target = environment.target](hipStream_t stream) {
    return causal_mask(params, stream, target);
  };
  prepared.expect = [spec, target = environment.target] {
    std::vector<OutputExpectation> outputs;
    outputs.push_back({"mask", causal_mask_expected(spec, target)});
    return outputs;
  };
  return prepared;
}

const SpecKnobs<Spec>& knobs() {
  static const SpecKnobs<Spec> all = [] {
    SpecKnobs<Spec> made;
    made.size("q_len", &Spec::q_len).size("kv_len", &Spec::kv_len);
    made.size("window", &Spec::window, 0).size("prefix_len", &Spec::prefix_len, 0);
    made.layout("layout", &Spec::layout);
    return made;
  }();
  return all;
}

Case make_case(const Spec& spec) {
  const Shape shape{spec.q_len, spec.kv_len};
  Case test;
  test.op = "causal_mask";
  test.dtype = spec.dtype;
  test.layout = layout_name(spec.layout);
  test.features = features_of(spec);
  if (spec.q_len > spec.kv_len && spec.prefix_len == 0) test.families.emplace_back("masked_rows");
  set_sizes(test, {{"q_len", spec.q_len}, {"kv_len", spec.kv_len}});
  test.shape = shape_name(shape);
  test.odd = any_odd(shape);
  test.over_tile = spec.kv_len > kBlockElements || spec.q_len > 1;
  test.quick = spec.quick;
  std::string options;
  for (const std::string& feature : test.features) options += "." + feature;
  if (spec.window > 0) options += fmt::format(".window_{}", spec.window);
  if (spec.prefix_len > 0) options += fmt::format(".prefix_{}", spec.prefix_len);
  test.id = fmt::format("causal_mask/{}/{}/{}/{}", dtype_name(spec.dtype), test.layout, test.shape,
                        options.substr(1));
  test.prepare = [spec](const CaseEnvironment& environment) { return prepare(spec, environment); };
  test.variants = knobs().variants(spec, &make_case);
  return test;
}

}  // namespace

Expected causal_mask_expected(const CausalMaskInputs& inputs, const Target&) {
  Expected expected;
  expected.dtype = inputs.dtype;
  expected.shape = {inputs.q_len, inputs.kv_len};
  expected.value = reference::causal_mask(inputs.q_len, inputs.kv_len, inputs.window, inputs.prefix_len);
  expected.bound.assign(expected.value.size(), 0.0);
  return expected;
}

OpSuite causal_mask_suite() {
  OpSuite suite;
  suite.op = "causal_mask";
  suite.bound = kCausalMaskBound;
  suite.dtypes = {DType::kF32, DType::kF16, DType::kBF16};
  suite.layouts = {"contiguous", "strided"};
  suite.features = {"causal", "decode", "window", "prefix", "window_and_prefix", "q_longer"};

  exclude_families(suite,
                   {"normal", "uniform", "outliers", "large", "subnormal", "equal", "one_hot", "integers",
                    "cancel", "nan_behind_mask", "non_finite"},
                   "no tensor is read");
  exclude_families(suite, {"minus_infinity"}, "it is what is written, by every case");
  // A pack, a wave's lanes, what a wave and what a block writes.
  for (std::int64_t at : {8, 32, 64, 256, 512, 2048}) suite.edges.push_back({"kv_len", at});

  // q_len, kv_len, window, prefix_len
  const std::array<std::int64_t, 4> sizes[] = {
      {5, 5, 0, 0},    {7, 300, 0, 0},   {32, 33, 0, 0},     {64, 64, 0, 0},   {3, 2051, 0, 0}, {0, 5, 0, 0},
      {0, 2051, 0, 0}, {1, 1, 0, 0},     {1, 7, 0, 0},       {1, 4099, 0, 0},  {1, 129, 16, 0},  // decode
      {9, 9, 1, 0},    {33, 65, 8, 0},   {4, 2060, 600, 0},  {6, 40, 1000, 0},                   // window
      {5, 5, 0, 3},    {17, 64, 0, 63},  {3, 2100, 0, 2077}, {6, 11, 0, 100},                    // prefix
      {9, 31, 4, 5},   {20, 257, 33, 8}, {8, 8, 2, 8},                                           // both
      {9, 4, 0, 0},    {65, 33, 7, 0},   {40, 16, 0, 5},     {5, 0, 0, 0}};                      // longer
  for (DType dtype : suite.dtypes) {
    for (Layout layout : {Layout::kContiguous, Layout::kStrided}) {
      for (const auto& [q_len, kv_len, window, prefix_len] : sizes) {
        const bool quick = kv_len == 300 || kv_len == 129 || kv_len == 64 || q_len == 20 || q_len == 65;
        suite.cases.push_back(make_case({{q_len, kv_len, window, prefix_len, dtype}, layout, quick}));
      }
      fill_edges(suite, dtype, layout_name(layout), [&](const std::string&, std::int64_t kv_len) {
        return make_case({{3, kv_len, 0, 0, dtype}, layout, false});
      });
    }
    for (const auto& [q_len, kv_len, window, prefix_len] :
         {std::array<std::int64_t, 4>{1024, 1024, 0, 0}, {128, 8192, 0, 0}, {512, 2048, 256, 64}}) {
      suite.bench_cases.push_back(
          make_case({{q_len, kv_len, window, prefix_len, dtype}, Layout::kContiguous, false}));
    }
  }
  return suite;
}

}  // namespace hipforge::harness
