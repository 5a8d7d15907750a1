#include "harness/ops/sample.h"

#include "harness/core/tolerance.h"
#include "harness/sweep/families.h"
#include "harness/sweep/variants.h"
#include "kernels/sample.h"
#include "reference/sample.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <utility>

namespace hipforge::harness {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kWrong = kInf;

enum class Data {
  kNormal,        // a language model's spread: 4 · N(0, 1)
  kFlat,          // nearly uniform
  kTies,          // integers
  kEqual,         // all the same
  kMasked,        // −infinity but for a few
  kPlusInfinity,  // two of +infinity
  kNaN,           // a NaN in every third place
  kNone,          // nothing but −infinity and NaN
  kOutliers,
  kLarge,
  kSubnormal,
  kOneHot,
};

enum class Edge { kNone, kDraw, kTopP };

struct Spec {
  Shape shape;  // rows, vocab
  Data data = Data::kNormal;
  float temperature = 1.0f;
  std::int64_t top_k = 0;
  float top_p = 1.0f;
  std::uint64_t position = 0;
  Edge edge =
      Edge::kNone;  // temperature (or top_p) chosen so that an edge of the distribution falls on the draw
  bool draws = true;
  DType dtype = DType::kF32;
  Layout layout = Layout::kContiguous;
  bool quick = false;
};

std::vector<std::string> features_of(const Spec& spec) {
  std::vector<std::string> features;
  switch (spec.data) {
    case Data::kNormal:
      features.emplace_back("normal");
      break;
    case Data::kFlat:
      features.emplace_back("flat");
      break;
    case Data::kTies:
      features.emplace_back("ties");
      break;
    case Data::kEqual:
      features.emplace_back("equal");
      break;
    case Data::kMasked:
      features.emplace_back("masked");
      break;
    case Data::kPlusInfinity:
      features.emplace_back("plus_infinity");
      break;
    case Data::kNaN:
      features.emplace_back("nan");
      break;
    case Data::kNone:
      features.emplace_back("no_distribution");
      break;
    case Data::kOutliers:
      features.emplace_back("outliers");
      break;
    case Data::kLarge:
      features.emplace_back("large");
      break;
    case Data::kSubnormal:
      features.emplace_back("subnormal");
      break;
    case Data::kOneHot:
      features.emplace_back("one_hot");
      break;
  }
  if (spec.temperature < 1e-3f) {
    features.emplace_back("cold");
  } else if (spec.temperature != 1.0f || spec.edge == Edge::kDraw) {
    features.emplace_back("temperature");
  }
  if (spec.top_k > 0) features.emplace_back("top_k");
  if (spec.top_p < 1.0f || spec.edge == Edge::kTopP) features.emplace_back("top_p");
  if (spec.edge == Edge::kDraw) features.emplace_back("edge_at_draw");
  if (spec.edge == Edge::kTopP) features.emplace_back("edge_at_top_p");
  if (spec.position >= 1u << 16) features.emplace_back("far_position");
  if (!spec.draws) features.emplace_back("ids_only");
  if (spec.shape[1] >= 32000) features.emplace_back("long_row");
  return features;
}

std::vector<std::string> families_of(Data data) {
  switch (data) {
    case Data::kFlat:
      return {"uniform"};
    case Data::kTies:
      return {"integers"};
    case Data::kMasked:
      return {"minus_infinity"};
    case Data::kPlusInfinity:
    case Data::kNaN:
      return {"non_finite"};
    case Data::kNone:
      return {"masked_rows", "minus_infinity", "non_finite"};
    default:
      return {};  // the feature's name is the family's
  }
}

// The data that the device's families do not have.
std::vector<double> special_values(const Spec& spec, std::uint64_t seed) {
  std::mt19937_64 engine(seed * 1000003 + static_cast<std::uint64_t>(spec.shape[1]));
  std::vector<double> values;
  for (std::int64_t row = 0; row < spec.shape[0]; ++row) {
    const auto vocab = static_cast<std::uint64_t>(spec.shape[1]);
    const std::uint64_t first = engine() % vocab;
    const std::uint64_t second = engine() % vocab;
    for (std::uint64_t col = 0; col < vocab; ++col) {
      const double number = static_cast<double>(engine() % 4096) / 512.0 - 4.0;
      const bool chosen = col == first || col == second;
      switch (spec.data) {
        case Data::kMasked:
          values.push_back(chosen || engine() % 16 == 0 ? number : -kInf);
          break;
        case Data::kPlusInfinity:
          values.push_back(chosen ? kInf : number);
          break;
        case Data::kNaN:
          values.push_back(col % 3 == 1 ? std::nan("") : number);
          break;
        case Data::kNone:
          values.push_back(engine() % 2 == 0 ? -kInf : std::nan(""));
          break;
        default:
          values.push_back(number);
          break;
      }
    }
  }
  return values;
}

// The largest error of a weight; its sums are exact.
double weight_error(double exponent, double weight) {
  if (exponent == 0.0 || weight == 0.0) return 0.0;
  return weight * 2.0 * kF32Roundoff * (std::fabs(exponent) + 1.0) + 0x1p-43;
}

// How far the edge at `below` of `total` may move, as a share of the total; the arithmetic of the edge itself
// is double.
double edge_bound(double below, double total, double error_below, double error_total) {
  const double at = below / total;
  return ((1.0 - at) * error_below + at * (error_total - error_below)) / total + 0x1p-50;
}

// Where an interval of the cumulative distribution ends, at index `last`, and how far rounding may move it.
struct EdgePlace {
  double at = 0.0;
  double bound = 0.0;
};

EdgePlace place_edge(std::span<const double> logits, double temperature, std::int64_t last) {
  const double max = *std::max_element(logits.begin(), logits.end());
  double below = 0.0;
  double below_error = 0.0;
  double total = 0.0;
  double total_error = 0.0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double exponent = (logits[i] - max) / temperature;
    const double weight = std::exp(exponent);
    const double error = weight_error(exponent, weight);
    total += weight;
    total_error += error;
    if (static_cast<std::int64_t>(i) > last) continue;
    below += weight;
    below_error += error;
  }
  return {below / total, edge_bound(below, total, below_error, total_error)};
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
  double best = kInf;
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

PreparedCase prepare(const Spec& spec, const CaseEnvironment& environment) {
  PreparedCase prepared;
  prepared.rig = std::make_unique<Rig>(environment.seed, environment.stream);
  Rig& rig = *prepared.rig;
  const std::int64_t rows = spec.shape[0];
  const std::int64_t vocab = spec.shape[1];
  SampleParams params;
  const auto family = [&](Family name, double scale) {
    params.logits = rig.input("logits", spec.dtype, spec.shape, name, scale, spec.layout);
  };
  switch (spec.data) {
    case Data::kNormal:
      family(Family::kNormal, 4.0);
      break;
    case Data::kFlat:
      family(Family::kUniform, 0.125);
      break;
    case Data::kTies:
      family(Family::kIntegers, 0.5);
      break;
    case Data::kEqual:
      family(Family::kEqual, -7.0);
      break;
    case Data::kOutliers:
      family(Family::kOutliers, 1.0);
      break;
    case Data::kLarge:
      family(Family::kNormal, spec.dtype == DType::kF16 ? 1e4 : 1e30);
      break;
    case Data::kSubnormal:
      family(Family::kSubnormal, 1.0);
      break;
    case Data::kOneHot:
      family(Family::kOneHot, 5.0);
      break;
    default:
      params.logits = rig.input_values("logits", spec.dtype, spec.shape,
                                       special_values(spec, environment.seed), spec.layout);
  }
  params.ids = rig.output("ids", DType::kI32, {rows}, spec.layout);
  if (spec.draws) params.draws = rig.output("draws", DType::kF32, {rows}, spec.layout);
  params.temperature = spec.temperature;
  params.top_k = spec.top_k;
  params.top_p = spec.top_p;
  // Seeds that use all 64 bits.
  params.seed = environment.seed * 0x9e3779b97f4a7c15ull + static_cast<std::uint64_t>(vocab);
  params.position = spec.position;
  const std::vector<double>& logits = rig.values("logits");
  if (spec.edge == Edge::kDraw) {
    seek_edge({logits.data(), static_cast<std::size_t>(vocab)}, params);
  }
  if (spec.edge == Edge::kTopP) {
    params.top_p = edge_top_p({logits.data(), static_cast<std::size_t>(vocab)}, spec.top_k);
  }
  prepared.bytes = rows * (vocab * static_cast<std::int64_t>(dtype_size(spec.dtype)) + (spec.draws ? 8 : 4));
  prepared.flops = 4 * rows * vocab;
  prepared.ceiling = Ceiling::kRead;
  prepared.params = params;
  prepared.launch = [params, target = environment.target](hipStream_t stream) {
    return sample(params, stream, target);
  };
  prepared.judge = [params, rows, vocab, draws = spec.draws](const Rig& launched) {
    SampleInputs inputs;
    inputs.logits = launched.values("logits");
    inputs.rows = rows;
    inputs.vocab = vocab;
    inputs.temperature = static_cast<double>(params.temperature);
    inputs.top_k = params.top_k;
    inputs.top_p = static_cast<double>(params.top_p);
    inputs.seed = params.seed;
    inputs.position = params.position;
    return sample_judge(inputs, launched.read("ids"), draws ? launched.read("draws") : std::vector<double>{});
  };
  return prepared;
}

const SpecKnobs<Spec>& knobs() {
  static const SpecKnobs<Spec> all = [] {
    SpecKnobs<Spec> made;
    made.size("rows", [](Spec& spec) -> std::int64_t& { return spec.shape[0]; });
    made.size("vocab", [](Spec& spec) -> std::int64_t& { return spec.shape[1]; });
    made.layout("layout", &Spec::layout).flag("draws", &Spec::draws);
    made.choice("data", &Spec::data,
                std::vector<std::pair<std::string, Data>>{
                    {"equal", Data::kEqual}, {"ties", Data::kTies}, {"normal", Data::kNormal}});
    made.choice("edge", &Spec::edge, std::vector<std::pair<std::string, Edge>>{{"none", Edge::kNone}});
    made.scalar("temperature", &Spec::temperature, 1.0f).scalar("top_p", &Spec::top_p, 1.0f);
    made.size("top_k", &Spec::top_k, 0);
    made.choice("position", &Spec::position, std::vector<std::pair<std::string, std::uint64_t>>{{"0", 0}});
    return made;
  }();
  return all;
}

Case make_case(const Spec& spec) {
  Case test;
  test.op = "sample";
  test.dtype = spec.dtype;
  test.layout = layout_name(spec.layout);
  test.features = features_of(spec);
  test.families = families_of(spec.data);
  set_sizes(test, {{"rows", spec.shape[0]}, {"vocab", spec.shape[1]}});
  test.shape = shape_name(spec.shape);
  test.odd = any_odd(spec.shape);
  test.over_tile = spec.shape[0] > 1 || spec.shape[1] > 1024;  // a row, or what one wave takes in its steps
  test.quick = spec.quick;
  std::string options;
  if (spec.temperature != 1.0f) options += fmt::format(".t_{:g}", spec.temperature);
  if (spec.top_k > 0) options += fmt::format(".k_{}", spec.top_k);
  if (spec.top_p < 1.0f) options += fmt::format(".p_{:g}", spec.top_p);
  options += fmt::format(".at_{}", spec.position);
  test.id = fmt::format("sample/{}/{}/{}/{}{}", dtype_name(spec.dtype), test.layout, test.shape,
                        fmt::join(test.features, "."), options);
  test.prepare = [spec](const CaseEnvironment& environment) { return prepare(spec, environment); };
  test.variants = knobs().variants(spec, &make_case);
  return test;
}

// The share of the widened interval that u needs for `token`, where the first `kept` candidates are left.
double interval_share(const reference::SampleDistribution& distribution, std::size_t kept, std::int64_t token,
                      double u) {
  double low = 0.0;
  double low_error = 0.0;
  double own = -1.0;
  double own_error = 0.0;
  double total = 0.0;
  double total_error = 0.0;
  for (std::size_t i = 0; i < kept; ++i) {
    const double weight = distribution.weight[i];
    const double error = weight_error(distribution.exponent[i], weight);
    total += weight;
    total_error += error;
    if (distribution.order[i] < token) {
      low += weight;
      low_error += error;
    } else if (distribution.order[i] == token) {
      own = weight;
      own_error = error;
    }
  }
  if (!(own > 0.0)) return kWrong;  // not kept, or of weight 0
  const double from = low / total;
  const double to = (low + own) / total;
  if (u <= from) return (from - u) / edge_bound(low, total, low_error, total_error);
  if (u > to) return (u - to) / edge_bound(low + own, total, low_error + own_error, total_error);
  return 0.0;
}

// The least share with which any cut that top_p allows explains the token.
double token_share(const reference::SampleDistribution& distribution, double top_p, std::int64_t token,
                   double u) {
  const std::size_t count = distribution.order.size();
  if (top_p >= 1.0) return interval_share(distribution, count, token, u);
  double total = 0.0;
  double total_error = 0.0;
  for (std::size_t i = 0; i < count; ++i) {
    total += distribution.weight[i];
    total_error += weight_error(distribution.exponent[i], distribution.weight[i]);
  }
  double best = kWrong;
  double before = 0.0;  // weight of the candidates before the last one kept
  double before_error = 0.0;
  for (std::size_t i = 0; i < count; ++i) {
    const double through = before + distribution.weight[i];
    const double through_error =
        before_error + weight_error(distribution.exponent[i], distribution.weight[i]);
    // Ends here if the sum through it reaches top_p, and the one before it does not.
    const double missing = std::fmax(top_p - through / total, 0.0);
    const double excess = std::fmax(before / total - top_p, 0.0);
    const double cut_share = std::fmax(missing / edge_bound(through, total, through_error, total_error),
                                       excess / edge_bound(before, total, before_error, total_error));
    if (cut_share <= 1.0)
      best = std::fmin(best, std::fmax(cut_share, interval_share(distribution, i + 1, token, u)));
    if (excess > 0.0 && cut_share > 1.0) break;
    before = through;
    before_error = through_error;
  }
  return best;
}

}  // namespace

Comparison sample_judge(const SampleInputs& inputs, std::span<const double> ids,
                        std::span<const double> draws) {
  Comparison result;
  result.bounded = true;
  result.elements = static_cast<std::size_t>(inputs.rows);
  for (std::size_t row = 0; row < result.elements; ++row) {
    const auto vocab = static_cast<std::size_t>(inputs.vocab);
    const reference::SampleDistribution distribution = reference::sample_distribution(
        inputs.logits.subspan(row * vocab, vocab), inputs.temperature, inputs.top_k);
    const double u = reference::philox_uniform(inputs.seed, inputs.position + row);
    const auto token = static_cast<std::int64_t>(ids[row]);
    double share = 0.0;
    if (distribution.order.empty()) {
      share = token == -1 ? 0.0 : kWrong;
    } else {
      share = token_share(distribution, inputs.top_p, token, u);
    }
    const bool same_draw = draws.empty() || draws[row] == u;
    if (!same_draw) share = kWrong;
    const std::int64_t kept = distribution.order.empty() ? 0 : sample_nucleus(distribution, inputs.top_p);
    const std::int64_t oracle =
        distribution.order.empty() ? -1 : reference::sample_token(distribution, kept, u);
    result.judged.push_back({ids[row], static_cast<double>(oracle), share});
    if (share >= result.worst_share) {
      result.worst_share = share;
      result.worst_index = row;
      result.where = fmt::format("[{}]", row);
    }
    if (share <= 1.0) continue;
    if (result.passed) {
      result.message = fmt::format("row {}: got token {} at draw {:.9g}, oracle {} at {:.9g}; share {:.3g}",
                                   row, token, draws.empty() ? u : draws[row], oracle, u, share);
    }
    result.passed = false;
    ++result.failures;
  }
  return result;
}

OpSuite sample_suite() {
  OpSuite suite;
  suite.op = "sample";
  suite.bound = kSampleBound;
  suite.dtypes = {DType::kF32, DType::kF16, DType::kBF16};
  suite.layouts = {"contiguous", "strided"};
  suite.features = {"normal",       "flat",          "ties",         "equal",    "masked",  "plus_infinity",
                    "nan",          "cold",          "temperature",  "top_k",    "top_p",   "no_distribution",
                    "edge_at_draw", "edge_at_top_p", "far_position", "ids_only", "long_row"};
  exclude_families(suite, {"cancel"}, "sums are of positive integers and exact");
  exclude_families(suite, {"nan_behind_mask"}, "there is no mask but -infinity itself");
  // A pack, a wave's lanes, what a wave takes before a row gets another, and what the largest block takes.
  for (std::int64_t at : {4, 32, 64, 512, 1024, 8192}) suite.edges.push_back({"vocab", at});
  const Shape vocabs{1, 2, 9, 33, 257, 513, 2048, 4099};
  std::uint64_t position = 0;
  for (DType dtype : suite.dtypes) {
    for (Layout layout : {Layout::kContiguous, Layout::kStrided}) {
      const Spec plain{.shape = {}, .dtype = dtype, .layout = layout};
      const auto add = [&](Spec spec) {
        if (spec.position == 0) spec.position = ++position;
        suite.cases.push_back(make_case(spec));
      };
      for (std::int64_t vocab : vocabs) {
        Spec spec = plain;
        spec.shape = {vocab > 1000 ? 2 : 5, vocab};
        spec.temperature = vocab % 2 == 0 ? 1.0f : 0.7f;
        spec.draws = vocab % 4 != 1;
        spec.quick = vocab == 257;
        add(spec);
      }
      for (const Shape& shape : {Shape{3, 7}, Shape{4, 130}, Shape{2, 2051}}) {
        Spec spec = plain;
        spec.shape = shape;
        spec.quick = shape[1] == 130;
        for (Data data :
             {Data::kFlat, Data::kTies, Data::kEqual, Data::kMasked, Data::kPlusInfinity, Data::kNaN,
              Data::kNone, Data::kOutliers, Data::kLarge, Data::kSubnormal, Data::kOneHot}) {
          spec.data = data;
          add(spec);
        }
        // Ties at the edges of both cuts.
        spec.data = Data::kTies;
        spec.top_k = 5;
        add(spec);
        spec.top_k = 0;
        spec.top_p = 0.4f;
        add(spec);
        spec.data = Data::kEqual;
        spec.top_k = 6;
        add(spec);
        spec.data = Data::kNormal;
        spec.top_k = shape[1] / 3 + 1;
        spec.top_p = 0.9f;
        spec.temperature = 1.5f;
        add(spec);
        spec.data = Data::kNaN;
        spec.top_k = shape[1] - 1;  // more than there are candidates
        add(spec);
        spec = plain;
        spec.shape = shape;
        spec.temperature = 1e-6f;
        add(spec);
        spec.temperature = 1.5f;
        spec.top_k = 1;
        add(spec);
        spec.top_k = 0;
        spec.temperature = 1.0f;
        spec.position =
            0xfffffffeull + (static_cast<std::uint64_t>(shape[1]) << 40);  // the row number carries over
        add(spec);
      }
      // Where rounding decides: one row, several draws.
      for (std::int64_t vocab : {2, 3, 33, 1031}) {
        for (int repeat = 0; repeat < (vocab < 4 ? 8 : 3); ++repeat) {
          Spec spec = plain;
          spec.shape = {1, vocab};
          spec.edge = Edge::kDraw;
          add(spec);
          if (repeat >= 3) continue;
          spec.edge = Edge::kTopP;
          spec.top_k = repeat % 2 == 0 ? 0 : vocab;
          add(spec);
        }
      }
      Spec wide_edge = plain;
      wide_edge.shape = {3, 515};
      wide_edge.edge = Edge::kTopP;
      add(wide_edge);
      wide_edge.edge = Edge::kDraw;
      add(wide_edge);
      // Vocabularies.
      Spec long_row = plain;
      long_row.shape = {1, 32003};
      long_row.top_p = 0.95f;
      add(long_row);
      long_row.shape = {1, 50257};
      long_row.top_k = 50;
      add(long_row);
      long_row.shape = {1, 128256};
      long_row.top_k = 0;
      long_row.top_p = 1.0f;
      long_row.data = Data::kFlat;
      add(long_row);
      for (std::int64_t vocab : {64, 1, 2049}) {
        Spec no_rows = plain;
        no_rows.shape = {0, vocab};
        add(no_rows);
      }
      fill_edges(suite, dtype, layout_name(layout), [&](const std::string&, std::int64_t vocab) {
        Spec spec = plain;
        spec.shape = {2, vocab};
        spec.position = ++position;
        return make_case(spec);
      });
    }
    for (const Shape& shape : {Shape{1, 4096}, Shape{8, 32000}}) {
      Spec spec{.shape = shape, .position = 1, .dtype = dtype};
      suite.bench_cases.push_back(make_case(spec));
      spec.top_k = 40;
      spec.top_p = 0.95f;
      spec.temperature = 0.8f;
      suite.bench_cases.push_back(make_case(spec));
    }
  }
  return suite;
}

}  // namespace hipforge::harness
