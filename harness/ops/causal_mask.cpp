#include "harness/ops/causal_mask.h"

#include "harness/sweep/op_cases.h"
#include "reference/causal_mask.h"

#include <fmt/format.h>

#include <array>
#include <utility>

namespace hipforge::harness {
namespace {

struct Spec {
  std::int64_t q_len = 0;
  std::int64_t kv_len = 0;
  std::int64_t window = 0;
  std::int64_t prefix_len = 0;
  DType dtype = DType::kF32;
  Layout layout = Layout::kContiguous;
  bool quick = false;
};

constexpr std::int64_t kBlockElements = 256 * 8;  // what one block covers

CausalMaskParams make(const Spec& spec, Rig& rig) {
  return {rig.output("mask", spec.dtype, {spec.q_len, spec.kv_len}, spec.layout), spec.window,
          spec.prefix_len};
}

const Fields<Spec>& fields() {
  static const auto all = [] {
    const auto is_causal = [](const Spec& spec) {
      return spec.window == 0 && spec.prefix_len == 0 && spec.q_len <= spec.kv_len && spec.q_len != 1;
    };
    Fields<Spec> made;
    made.dtype(&Spec::dtype).size("q_len", &Spec::q_len).size("kv_len", &Spec::kv_len);
    made.number("window", &Spec::window, 0).number("prefix_len", &Spec::prefix_len, 0);
    made.layout("layout", &Spec::layout);
    made.feature("window_and_prefix",
                 [](const Spec& spec) { return spec.window > 0 && spec.prefix_len > 0; });
    made.feature("window", [](const Spec& spec) { return spec.window > 0; });
    made.feature("prefix", [](const Spec& spec) { return spec.prefix_len > 0; });
    made.feature("q_longer", [](const Spec& spec) { return spec.q_len > spec.kv_len; });
    made.feature("decode", [](const Spec& spec) { return spec.q_len == 1; });
    made.feature("causal", is_causal);
    made.special({"masked_rows"},
                 [](const Spec& spec) { return spec.q_len > spec.kv_len && spec.prefix_len == 0; });
    made.option(
        [](const Spec& spec) { return spec.window > 0 ? fmt::format("window_{}", spec.window) : ""; });
    made.option([](const Spec& spec) {
      return spec.prefix_len > 0 ? fmt::format("prefix_{}", spec.prefix_len) : "";
    });
    made.over_tile([](const Spec& spec) { return spec.kv_len > kBlockElements || spec.q_len > 1; });
    return made;
  }();
  return all;
}

Work work(const Spec&, const CausalMaskParams&) {
  return {.ceiling = Ceiling::kWrite};
}

const OpCases<Spec, CausalMaskParams> kCases{causal_mask, fields, make, expect, work};

}  // namespace

std::vector<OutputExpectation> expect(const CausalMaskParams& part, const HostTensors&, const Target&,
                                      const CausalMaskParams&) {
  Expected mask{part.mask.dtype, shape_of(part.mask), {}, {}};
  mask.value = reference::causal_mask(part.mask.shape[0], part.mask.shape[1], part.window, part.prefix_len);
  mask.bound.assign(mask.value.size(), 0.0);
  return {{"mask", std::move(mask)}};
}

OpSuite causal_mask_suite() {
  auto suite = make_suite<CausalMaskParams>(kCausalMaskBound);
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
        suite.cases.push_back(
            make_case(kCases, Spec{q_len, kv_len, window, prefix_len, dtype, layout, quick}));
      }
      fill_edges(suite, dtype, layout_name(layout), [&](const std::string&, std::int64_t kv_len) {
        return make_case(kCases, Spec{3, kv_len, 0, 0, dtype, layout});
      });
    }
    for (const auto& [q_len, kv_len, window, prefix_len] :
         {std::array<std::int64_t, 4>{1024, 1024, 0, 0}, {128, 8192, 0, 0}, {512, 2048, 256, 64}}) {
      suite.bench_cases.push_back(make_case(kCases, Spec{q_len, kv_len, window, prefix_len, dtype}));
    }
  }
  return suite;
}

}  // namespace hipforge::harness
