#include "kernels/causal_mask.h"

#include "harness/sweep/metamorphic.h"
#include "harness/sweep/op_cases.h"
#include "reference/causal_mask.h"

namespace hipforge::harness {

constexpr const char* kCausalMaskBound = R"(
Every element is exactly 0 or −inf: bound 0.)";

// mask, within kCausalMaskBound.
Oracle<CausalMaskParams> expect;

namespace {

struct Spec : SpecBase {
  std::int64_t q_len = 0;
  std::int64_t kv_len = 0;
  std::int64_t window = 0;
  std::int64_t prefix_len = 0;
};

constexpr std::int64_t kBlockElements = 256 * 8;  // what one block covers

CausalMaskParams make(const Spec& spec, Rig& rig) {
  return {rig.output("mask", spec.dtype, {spec.q_len, spec.kv_len}, spec.layout), spec.window,
          spec.prefix_len};
}

void declare(Fields<Spec>& made) {
  const auto is_causal = [](const Spec& spec) {
    return spec.window == 0 && spec.prefix_len == 0 && spec.q_len <= spec.kv_len && spec.q_len != 1;
  };
  made.size("q_len", &Spec::q_len).size("kv_len", &Spec::kv_len);
  made.number("window", &Spec::window, 0).number("prefix_len", &Spec::prefix_len, 0);
  made.layout();
  made.feature("window_and_prefix", [](const Spec& spec) { return spec.window > 0 && spec.prefix_len > 0; });
  made.feature("window", &Spec::window).feature("prefix", &Spec::prefix_len);
  made.feature("q_longer", [](const Spec& spec) { return spec.q_len > spec.kv_len; });
  made.feature("decode", [](const Spec& spec) { return spec.q_len == 1; });
  made.feature("causal", is_causal);
  made.special({"masked_rows"},
               [](const Spec& spec) { return spec.q_len > spec.kv_len && spec.prefix_len == 0; });
  made.option("window_{}", &Spec::window).option("prefix_{}", &Spec::prefix_len);
  made.over_tile([](const Spec& spec) { return spec.kv_len > kBlockElements || spec.q_len > 1; });
}

Work work(const Spec&, const CausalMaskParams&) {
  return {.ceiling = Ceiling::kWrite};
}

const OpCases<Spec, CausalMaskParams> kCases{causal_mask, declared<Spec, declare>, make, work};

}  // namespace

std::vector<OutputExpectation> expect(const CausalMaskParams& part, const HostTensors&, const Target&,
                                      const CausalMaskParams&) {
  return {
      exactly("mask", part.mask,
              reference::causal_mask(part.mask.shape[0], part.mask.shape[1], part.window, part.prefix_len))};
}

// q_len x kv_len
constexpr std::string_view kTable = R"(
  5x5 7x300! 32x33 64x64! 3x2051 0x5 0x2051 1x1 1x7 1x4099 9x4 5x0
  1x129! : window=16
  9x9 : window=1
  33x65 : window=8
  4x2060 : window=600
  6x40 : window=1000
  5x5 : prefix_len=3
  17x64! : prefix_len=63
  3x2100 : prefix_len=2077
  6x11 : prefix_len=100
  40x16 : prefix_len=5
  9x31 : window=4 prefix_len=5
  20x257! : window=33 prefix_len=8
  8x8 : window=2 prefix_len=8
  65x33! : window=7
)";

constexpr std::string_view kBench = "1024x1024 128x8192 \n 512x2048 : window=256 prefix_len=64";

OpSuite causal_mask_suite() {
  auto suite = make_suite<CausalMaskParams>(kCausalMaskBound);
  suite.features = words_of("causal decode window prefix window_and_prefix q_longer");

  exclude_families(suite,
                   {"normal", "uniform", "outliers", "large", "subnormal", "equal", "one_hot", "integers",
                    "cancel", "nan_behind_mask", "non_finite"},
                   "no tensor is read");
  exclude_families(suite, {"minus_infinity"}, "it is what is written, by every case");
  // A pack, a wave's lanes, what a wave and what a block writes.
  for (std::int64_t at : {8, 32, 64, 256, 512, 2048}) suite.edges.push_back({"kv_len", at});

  fill_suite(suite, kCases, {kTable, "3x1", kBench});
  return suite;
}

}  // namespace hipforge::harness
