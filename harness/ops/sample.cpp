#include "kernels/sample.h"

#include "harness/core/tolerance.h"
#include "harness/sweep/metamorphic.h"
#include "harness/sweep/op_cases.h"
#include "reference/not_finite.h"
#include "reference/sample.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <utility>

namespace hipforge::harness {

constexpr const char* kSampleBound = R"(
A weight w = exp(z), z = (logit − max) / temperature, may be off by w·(2u·|z| + 2u) + 2⁻⁴³ with u = 2⁻²⁴:
one subtraction, one division, an exponential within 1 ulp (2u), and its place among integers; the largest
is exact, and so are all sums. The edge E of an interval of the cumulative distribution, with error D
below it and D' above, moves by at most ((1 − E)·D + E·D') / total. A token is right if its interval,
widened so, holds u, in the set of top_k (exact) and of a top_p cut whose own edges, widened so, hold
top_p. The share is the distance of u (or of top_p) to the exact edge over the widening; 0 inside.)";

// ids are judged by kSampleBound, draws, where present, must be the oracle's u exactly.
Oracle<SampleParams> expect;

namespace {

constexpr double kWrong = kInfinity;

// A logit that is made on the host.
struct Element {
  std::uint64_t col;
  bool chosen;    // one of two of its row
  double number;  // of [−4, 4)
  std::mt19937_64& engine;
};

// What the logits hold: of a family, or element by element.
struct Data {
  const char* name;
  std::vector<std::string> families{};  // none: the feature is a family's name
  Family family = Family::kNormal;
  double scale = 1.0;
  double (*value)(const Element& at) = nullptr;
  const char* feature = name;
};
const Data kData[] = {
    {"equal", {}, Family::kEqual, -7.0},
    {"ties", {"integers"}, Family::kIntegers, 0.5},
    {"normal", {}, Family::kNormal, 4.0},  // a language model's spread
    {"flat", {"uniform"}, Family::kUniform, 0.125},
    // −infinity but for a few.
    {.name = "masked",
     .families = {"minus_infinity"},
     .value = [](const Element& at) { return at.chosen || at.engine() % 16 == 0 ? at.number : -kInfinity; }},
    {.name = "plus_infinity",
     .families = {"non_finite"},
     .value = [](const Element& at) { return at.chosen ? kInfinity : at.number; }},
    {.name = "nan",
     .families = {"non_finite"},
     .value = [](const Element& at) { return at.col % 3 == 1 ? kNaN : at.number; }},
    {.name = "none",
     .families = {"masked_rows", "minus_infinity", "non_finite"},
     .value = [](const Element& at) { return at.engine() % 2 == 0 ? -kInfinity : kNaN; },
     .feature = "no_distribution"},
    {"outliers", {}, Family::kOutliers},
    {"large", {}, Family::kNormal, 1e30},
    {"subnormal", {}, Family::kSubnormal},
    {"one_hot", {}, Family::kOneHot, 5.0},
};

enum class Edge { kNone, kDraw, kTopP };

struct Spec : SpecBase {
  std::int64_t rows = 0;
  std::int64_t vocab = 0;
  const Data* data = &kData[2];
  float temperature = 1.0f;
  std::int64_t top_k = 0;
  float top_p = 1.0f;
  std::uint64_t position = 0;
  Edge edge = Edge::kNone;  // temperature (or top_p) such that an edge of the distribution falls on the draw
  bool draws = true;
};

std::vector<double> made_values(const Spec& spec, std::uint64_t seed) {
  std::mt19937_64 engine(seed * 1000003 + static_cast<std::uint64_t>(spec.vocab));
  const auto vocab = static_cast<std::uint64_t>(spec.vocab);
  std::vector<double> values;
  for (std::int64_t row = 0; row < spec.rows; ++row) {
    const std::uint64_t first = engine() % vocab;
    const std::uint64_t second = engine() % vocab;
    for (std::uint64_t col = 0; col < vocab; ++col) {
      const double number = static_cast<double>(engine() % 4096) / 512.0 - 4.0;
      values.push_back(spec.data->value({col, col == first || col == second, number, engine}));
    }
  }
  return values;
}

// The largest error of a weight; its sums are exact.
double weight_error(double exponent, double weight) {
  if (exponent == 0.0 || weight == 0.0) return 0.0;
  return weight * 2.0 * kF32Roundoff * (std::fabs(exponent) + 1.0) + 0x1p-43;
}

// A sum of weights, and how far each may be off.
struct Sum {
  double weight = 0.0;
  double error = 0.0;

  void add(double exponent, double of) {
    weight += of;
    error += weight_error(exponent, of);
  }
};

// An edge of the cumulative distribution, as a share of the total, and how far rounding may move it; the
// arithmetic of the edge itself is double.
struct EdgePlace {
  double at = 0.0;
  double bound = 0.0;
};

EdgePlace edge_between(const Sum& below, const Sum& total) {
  const double at = below.weight / total.weight;
  return {at, ((1.0 - at) * below.error + at * (total.error - below.error)) / total.weight + 0x1p-50};
}

// Where the interval of index `last` ends.
EdgePlace place_edge(std::span<const double> logits, double temperature, std::int64_t last) {
  const double max = *std::max_element(logits.begin(), logits.end());
  Sum below;
  Sum total;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double exponent = (logits[i] - max) / temperature;
    total.add(exponent, std::exp(exponent));
    if (static_cast<std::int64_t>(i) == last) below = total;
  }
  return edge_between(below, total);
}

// A temperature at which the interval of index `last` ends at u, as nearly as f32 can say it; 0 where the
// edge does not pass over u.
float edge_temperature(std::span<const double> logits, std::int64_t last, double u) {
  const auto over = [&](double temperature) { return place_edge(logits, temperature, last).at > u; };
  for (double other : {0.25, 2.0, 16.0}) {
    double low = 1.0;
    double high = other;
    if (over(low) == over(high)) continue;
    for (int step = 0; step < 40; ++step) {
      const double middle = 0.5 * (low + high);
      (over(low) != over(middle) ? high : low) = middle;
    }
    return static_cast<float>(low);
  }
  return 0.0f;
}

// Moves position and temperature to where rounding decides between two tokens: u within a tenth or so of the
// bound from an edge. Of a few positions, each with the edge that its draw meets at temperature 1, the best.
void seek_edge(std::span<const double> logits, SampleParams& params) {
  constexpr double kWanted = 0.1;
  const int tries = logits.size() > 100 ? 2 : 24;
  const reference::SampleDistribution at_one = reference::sample_distribution(logits, 1.0, 0);
  const std::uint64_t first = params.position;
  double best = kInfinity;
  for (int attempt = 0; attempt < tries; ++attempt) {
    const std::uint64_t position = first + (static_cast<std::uint64_t>(attempt) << 32);
    const double u = reference::philox_uniform(params.seed, position);
    const std::int64_t token =
        reference::sample_token(at_one, static_cast<std::int64_t>(at_one.order.size()), u);
    for (std::int64_t last : {token, token - 1}) {
      const float temperature = last < 0 ? 0.0f : edge_temperature(logits, last, u);
      if (temperature == 0.0f) continue;
      const EdgePlace edge = place_edge(logits, static_cast<double>(temperature), last);
      const double miss = std::fabs(std::fabs(edge.at - u) / edge.bound - kWanted);
      if (!(miss < best)) continue;
      best = miss;
      params.position = position;
      params.temperature = temperature;
    }
  }
}

// The share of the first half of the candidates that matter, as f32: their run ends at top_p, or just before
// it.
float edge_top_p(std::span<const double> logits, std::int64_t top_k) {
  const reference::SampleDistribution distribution = reference::sample_distribution(logits, 1.0, top_k);
  const auto kept = static_cast<std::size_t>(reference::sample_nucleus(distribution, 0.6));
  const auto begin = distribution.weight.begin();
  const double part = std::accumulate(begin, begin + static_cast<std::ptrdiff_t>(kept), 0.0);
  const double whole = std::accumulate(begin, distribution.weight.end(), 0.0);
  return std::min(static_cast<float>(part / whole), 1.0f);
}

TensorView make_logits(const Spec& spec, Rig& rig) {
  const Shape shape{spec.rows, spec.vocab};
  const Data& data = *spec.data;
  if (data.value != nullptr) {
    return rig.input_values("logits", spec.dtype, shape, made_values(spec, rig.seed()), spec.layout);
  }
  const double scale = spec.dtype == DType::kF16 ? std::min(data.scale, 1e4) : data.scale;
  return rig.input("logits", spec.dtype, shape, data.family, scale, spec.layout);
}

SampleParams make(const Spec& spec, Rig& rig) {
  SampleParams params;
  params.logits = make_logits(spec, rig);
  params.ids = rig.output("ids", DType::kI32, {spec.rows}, spec.layout);
  if (spec.draws) params.draws = rig.output("draws", DType::kF32, {spec.rows}, spec.layout);
  params.temperature = spec.temperature;
  params.top_k = spec.top_k;
  params.top_p = spec.top_p;
  // Seeds that use all 64 bits.
  params.seed = rig.seed() * 0x9e3779b97f4a7c15ull + static_cast<std::uint64_t>(spec.vocab);
  params.position = spec.position;
  if (spec.edge == Edge::kNone) return params;
  const std::span<const double> first_row(rig.values("logits").data(), static_cast<std::size_t>(spec.vocab));
  if (spec.edge == Edge::kDraw) seek_edge(first_row, params);
  if (spec.edge == Edge::kTopP) params.top_p = edge_top_p(first_row, spec.top_k);
  return params;
}

void declare(Fields<Spec>& made) {
  made.size("rows", &Spec::rows).size("vocab", &Spec::vocab);
  made.layout().flag("draws", &Spec::draws);
  std::vector<Value<const Data*>> data;
  for (const Data& one : kData) data.push_back({one.name, &one, one.feature, one.families});
  made.choice("data", &Spec::data, data, 3);
  made.feature([](const Spec& spec) {
    if (spec.temperature < 1e-3f) return "cold";
    return spec.temperature != 1.0f || spec.edge == Edge::kDraw ? "temperature" : "";
  });
  made.feature("top_k", &Spec::top_k);
  made.feature("top_p", [](const Spec& spec) { return spec.top_p < 1.0f || spec.edge == Edge::kTopP; });
  made.choice<Edge>("edge", &Spec::edge,
                    {{"none", Edge::kNone},
                     {"draw", Edge::kDraw, "edge_at_draw"},
                     {"top_p", Edge::kTopP, "edge_at_top_p"}});
  made.feature("far_position", [](const Spec& spec) { return spec.position >= 1u << 16; });
  made.says("", "ids_only").feature("long_row", [](const Spec& spec) { return spec.vocab >= 32000; });
  made.scalar("temperature", &Spec::temperature, 1.0f).scalar("top_p", &Spec::top_p, 1.0f);
  made.number("top_k", &Spec::top_k, 0).scalar("position", &Spec::position, std::uint64_t{0});
  made.option("t_{:g}", &Spec::temperature, 1.0f)
      .option("k_{}", &Spec::top_k)
      .option("p_{:g}", &Spec::top_p, 1.0f);
  made.option([](const Spec& spec) { return fmt::format("at_{}", spec.position); });
  // A row, or what one wave takes in its steps.
  made.over_tile([](const Spec& spec) { return spec.rows > 1 || spec.vocab > 1024; });
}

Work work(const Spec& spec, const SampleParams&) {
  return {.flops = 4 * spec.rows * spec.vocab, .ceiling = Ceiling::kRead};
}

const OpCases<Spec, SampleParams> kCases{sample, declared<Spec, declare>, make, work};

// The share of the widened interval that u needs for `token`, where the first `kept` candidates are left.
double interval_share(const reference::SampleDistribution& distribution, std::size_t kept, std::int64_t token,
                      double u) {
  Sum below;
  Sum own;
  Sum total;
  for (std::size_t i = 0; i < kept; ++i) {
    const auto add_to = [&](Sum& sum) { sum.add(distribution.exponent[i], distribution.weight[i]); };
    add_to(total);
    if (distribution.order[i] < token) add_to(below);
    if (distribution.order[i] == token) add_to(own);
  }
  if (!(own.weight > 0.0)) return kWrong;  // not kept, or of weight 0
  const EdgePlace from = edge_between(below, total);
  const EdgePlace to = edge_between({below.weight + own.weight, below.error + own.error}, total);
  return u <= from.at ? (from.at - u) / from.bound : u > to.at ? (u - to.at) / to.bound : 0.0;
}

// The least share with which any cut that top_p allows explains the token.
double token_share(const reference::SampleDistribution& distribution, double top_p, std::int64_t token,
                   double u) {
  const std::size_t count = distribution.order.size();
  if (top_p >= 1.0) return interval_share(distribution, count, token, u);
  std::vector<Sum> first(1);  // of the first candidates: none, one, … all
  for (std::size_t i = 0; i < count; ++i) {
    first.push_back(first.back());
    first.back().add(distribution.exponent[i], distribution.weight[i]);
  }
  double best = kWrong;
  for (std::size_t i = 0; i < count; ++i) {
    // Ends here if the sum through it reaches top_p, and the one before it does not.
    const EdgePlace before = edge_between(first[i], first[count]);
    const EdgePlace through = edge_between(first[i + 1], first[count]);
    const double excess = std::fmax(before.at - top_p, 0.0);
    const double cut_share =
        std::fmax(std::fmax(top_p - through.at, 0.0) / through.bound, excess / before.bound);
    if (cut_share <= 1.0)
      best = std::fmin(best, std::fmax(cut_share, interval_share(distribution, i + 1, token, u)));
    if (excess > 0.0 && cut_share > 1.0) break;
  }
  return best;
}

// Whether the tokens are ones that the draws allow.
Comparison judge_ids(const SampleParams& params, const HostTensor& logits, std::span<const double> u,
                     std::span<const double> ids) {
  const auto top_p = static_cast<double>(params.top_p);
  const auto vocab = static_cast<std::size_t>(logits.shape[1]);
  Comparison result;
  result.bounded = true;
  result.elements = u.size();
  for (std::size_t row = 0; row < u.size(); ++row) {
    const reference::SampleDistribution distribution =
        reference::sample_distribution(std::span(logits.values).subspan(row * vocab, vocab),
                                       static_cast<double>(params.temperature), params.top_k);
    const auto token = static_cast<std::int64_t>(ids[row]);
    const bool none = distribution.order.empty();
    const double share = !none ? token_share(distribution, top_p, token, u[row]) : token == -1 ? 0.0 : kWrong;
    const std::int64_t oracle =
        none ? -1
             : reference::sample_token(distribution, reference::sample_nucleus(distribution, top_p), u[row]);
    result.judged.push_back({ids[row], static_cast<double>(oracle), share});
    if (share >= result.worst_share) {
      result.worst_share = share;
      result.worst_index = row;
      result.where = fmt::format("[{}]", row);
    }
    if (share <= 1.0) continue;
    if (result.passed) {
      result.message = fmt::format("row {}: got token {}, oracle {} at draw {:.9g}; share {:.3g}", row, token,
                                   oracle, u[row], share);
    }
    result.passed = false;
    ++result.failures;
  }
  return result;
}

}  // namespace

std::vector<OutputExpectation> expect(const SampleParams& part, const HostTensors& host, const Target&,
                                      const SampleParams&) {
  const std::int64_t rows = part.logits.shape[0];
  std::vector<double> draws;
  for (std::uint64_t row = 0; row < static_cast<std::uint64_t>(rows); ++row) {
    draws.push_back(reference::philox_uniform(part.seed, part.position + row));
  }
  std::vector<OutputExpectation> outputs{{.output = "ids", .expected = {}}};
  outputs.front().judge = [part, logits = host.rows("logits", 0, rows), draws](std::span<const double> ids) {
    return judge_ids(part, logits, draws, ids);
  };
  if (part.draws.present()) outputs.push_back(exactly("draws", part.draws, std::move(draws)));
  return outputs;
}

// rows x vocab
constexpr std::string_view kTable = R"(
  5x1 : draws=off temperature=0.7
  5x2
  5x{9,33,257!,513} : draws=off temperature=0.7
  2x2048
  2x4099 : temperature=0.7
  $data = flat,ties,equal,masked,plus_infinity,nan,none,outliers,large,subnormal,one_hot
  # Ties at the edges of both cuts.
  $ties = ties top_k=5,ties top_p=0.4,equal top_k=6 top_p=0.4
  # The third of a vocabulary, and more than there are candidates.
  $cut = top_p=0.9 temperature=1.5
  $sharp = temperature=1e-6 ; top_k=1 temperature=1.5
  # At the far positions the row number carries over.
  3x7 : data={$data} ; {$ties} ; $cut top_k=3 ; nan $cut top_k=6 ; $sharp ; position=7700876361726
  4x130! : data={$data} ; {$ties} ; $cut top_k=44 ; nan $cut top_k=129
  4x130 : $sharp ; position=142940806578174
  2x2051 : data={$data} ; {$ties} ; $cut top_k=684 ; nan $cut top_k=2050 ; $sharp ; position=2255102643535870
  # Where rounding decides: one row, several draws.
  $both = edge=draw ; edge=top_p
  $five = edge=draw ; edge=draw ; edge=draw ; edge=draw ; edge=draw
  1x2 : $both ; $both top_k=2 ; $both ; $five
  1x3 : $both ; $both top_k=3 ; $both ; $five
  1x33 : $both ; $both top_k=33 ; $both
  1x1031 : $both ; $both top_k=1031 ; $both
  3x515 : edge=top_p ; edge=draw
  # Vocabularies.
  1x32003 : top_p=0.95
  1x50257 : top_p=0.95 top_k=50
  1x128256 : flat
  0x{64,1,2049}
)";

constexpr std::string_view kBench =
    "1x4096 8x32000 : position=1 ; position=1 top_k=40 top_p=0.95 temperature=0.8";

OpSuite sample_suite() {
  auto suite = make_suite<SampleParams>(kSampleBound);
  suite.features = words_of(
      "normal flat ties equal masked plus_infinity nan cold temperature top_k top_p no_distribution "
      "edge_at_draw edge_at_top_p far_position ids_only long_row");
  exclude_families(suite, {"cancel"}, "sums are of positive integers and exact");
  exclude_families(suite, {"nan_behind_mask"}, "there is no mask but -infinity itself");
  // A pack, a wave's lanes, what a wave takes before a row gets another, and what the largest block takes.
  for (std::int64_t at : {4, 32, 64, 512, 1024, 8192}) suite.edges.push_back({"vocab", at});
  // Each case draws at a position of its own.
  std::uint64_t position = 0;
  const auto settle = [&](Spec& spec) {
    if (spec.position == 0) spec.position = ++position;
  };
  fill_suite(suite, kCases, {kTable, "2x1", kBench, settle});
  return suite;
}

}  // namespace hipforge::harness
