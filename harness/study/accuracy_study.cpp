#include "harness/study/accuracy_study.h"

#include "harness/check/accuracy_baseline.h"
#include "harness/core/device_info.h"
#include "harness/core/rig.h"
#include "harness/core/tolerance.h"
#include "harness/output/summary.h"
#include "harness/system/exit_code.h"
#include "harness/system/file.h"
#include "kernels/flash_attention.h"
#include "kernels/runtime/check.h"
#include "kernels/runtime/device.h"
#include "kernels/softmax.h"
#include "kernels/weighted_matmul.h"
#include "reference/flash_attention.h"
#include "reference/softmax.h"
#include "reference/weighted_matmul.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <span>

namespace hipforge::harness {
namespace {

// Outputs enough for a steady mean, keys few enough for a machine without a GPU.
constexpr std::int64_t kRows = 16;
constexpr std::int64_t kHeadDim = 16;

// The control: the ops as they must not be (chronicle 006), with one f32 sum that runs over all keys. f32 is
// the same on every device, so the host's will do.
using Floats = std::vector<float>;

Floats naive_weighted_matmul(const Floats& weights, const Floats& values) {
  const std::size_t kv_len = weights.size() / kRows;
  Floats out;
  for (std::size_t i = 0; i < kRows * kHeadDim; ++i) {
    float sum = 0.0f;
    for (std::size_t j = 0; j < kv_len; ++j) {
      sum = std::fma(weights[i / kHeadDim * kv_len + j], values[j * kHeadDim + i % kHeadDim], sum);
    }
    out.push_back(sum);
  }
  return out;
}

// e to the power of each x less the largest of its row, and the sum of each row.
std::pair<Floats, Floats> naive_exps(Floats x) {
  const std::size_t kv_len = x.size() / kRows;
  Floats sums;
  for (std::size_t i = 0; i < kRows; ++i) {
    const std::span<float> row = std::span(x).subspan(i * kv_len, kv_len);
    const float largest = *std::ranges::max_element(row);
    float& sum = sums.emplace_back(0.0f);
    for (float& value : row) sum += value = std::exp(value - largest);
  }
  return {std::move(x), std::move(sums)};
}

Floats divide_rows(Floats rows, const Floats& by) {
  const std::size_t cols = rows.size() / kRows;
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] /= by[i / cols];
  return rows;
}

Floats naive_softmax(const Floats& x) {
  const auto [exps, sums] = naive_exps(x);
  return divide_rows(exps, sums);
}

Floats naive_attention(const Floats& q, const Floats& k, const Floats& v) {
  const std::size_t kv_len = k.size() / kHeadDim;
  const float scale = 1.0f / std::sqrt(static_cast<float>(kHeadDim));
  Floats scores;
  for (std::size_t i = 0; i < kRows * kv_len; ++i) {
    float score = 0.0f;
    for (std::size_t d = 0; d < kHeadDim; ++d) {
      score = std::fma(q[i / kv_len * kHeadDim + d], k[i % kv_len * kHeadDim + d], score);
    }
    scores.push_back(score * scale);
  }
  const auto [exps, sums] = naive_exps(std::move(scores));
  return divide_rows(naive_weighted_matmul(exps, v), sums);
}

using Pair = std::pair<StudyPoint, StudyPoint>;  // of the op, and of its control

// One op at one length, on the same operands as its control.
struct Trial {
  std::int64_t kv_len;
  const Target& target;
  Rig rig;

  TensorView positive(const std::string& name, const Shape& shape) {
    return rig.input(name, DType::kF32, shape, Family::kPositive);
  }
  [[nodiscard]] Floats floats(const std::string& name) const {
    return {rig.values(name).begin(), rig.values(name).end()};
  }
  // `out` is the params' output, of this shape; errors are measured by the oracle's sums of magnitudes.
  template <class Params>
  Pair judge(Params params, TensorView Params::*out, const Shape& shape, const std::vector<double>& value,
             const std::vector<double>& magnitude, Status (*op)(const Params&, hipStream_t, const Target&),
             const Floats& naive) {
    params.*out = rig.output("ours", DType::kF32, shape);
    throw_if_error(rig.reset());
    throw_if_error(op(params, nullptr, target));
    throw_if_error(rig.finish());
    return {point_of(rig.read("ours"), value, magnitude), point_of(naive, value, magnitude)};
  }
  template <class T>
  [[nodiscard]] StudyPoint point_of(const std::vector<T>& actual, const std::vector<double>& value,
                                    const std::vector<double>& magnitude) const {
    StudyPoint point{kv_len, 0.0, 0.0};
    for (std::size_t i = 0; i < actual.size(); ++i) {
      const double error = std::fabs(actual[i] - value[i]) / (kF32Roundoff * magnitude[i]);
      point.error += error * error;
      // A NaN stays the worst.
      if (!(error <= point.worst)) point.worst = error;
    }
    point.error = std::sqrt(point.error / static_cast<double>(actual.size()));
    return point;
  }
};

Pair try_weighted_matmul(Trial trial) {
  WeightedMatmulParams params;
  params.weights = trial.positive("weights", {1, 1, kRows, trial.kv_len});
  params.values = trial.positive("values", {1, trial.kv_len, 1, kHeadDim});
  const reference::WeightedMatmulResult oracle = reference::weighted_matmul(
      trial.rig.values("weights"), trial.rig.values("values"), {1, kRows, trial.kv_len, 1, 1, kHeadDim});
  return trial.judge(params, &WeightedMatmulParams::out, {1, kRows, 1, kHeadDim}, oracle.value,
                     oracle.magnitude, weighted_matmul,
                     naive_weighted_matmul(trial.floats("weights"), trial.floats("values")));
}

Pair try_softmax(Trial trial) {
  SoftmaxParams params;
  params.x = trial.positive("x", {1, 1, kRows, trial.kv_len});
  reference::SoftmaxOptions options;
  options.batch = options.heads = 1;
  options.rows = kRows;
  options.cols = trial.kv_len;
  const std::vector<double> value = reference::softmax(trial.rig.values("x"), {}, options).value;
  return trial.judge(params, &SoftmaxParams::y, {1, 1, kRows, trial.kv_len}, value, value, softmax,
                     naive_softmax(trial.floats("x")));
}

Pair try_attention(Trial trial) {
  FlashAttentionParams params;
  params.q = trial.positive("q", {1, kRows, 1, kHeadDim});
  params.k = trial.positive("k", {1, trial.kv_len, 1, kHeadDim});
  params.v = trial.positive("v", {1, trial.kv_len, 1, kHeadDim});
  reference::AttentionRule rule;
  rule.scale = 1.0 / std::sqrt(static_cast<double>(kHeadDim));
  const reference::AttentionResult oracle =
      reference::flash_attention(trial.rig.values("q"), trial.rig.values("k"), trial.rig.values("v"),
                                 {kRows, trial.kv_len, 1, 1, kHeadDim}, rule, {}, {});
  return trial.judge(params, &FlashAttentionParams::o, {1, kRows, 1, kHeadDim}, oracle.o, oracle.weighted,
                     flash_attention,
                     naive_attention(trial.floats("q"), trial.floats("k"), trial.floats("v")));
}

std::string study_json(const StudyOptions& options, const Target& target,
                       const std::vector<StudySeries>& all) {
  const DeviceInfo info = device_info();
  std::vector<JsonFields> rows;
  for (const StudySeries& series : all) {
    std::vector<JsonFields> points;
    for (const StudyPoint& point : series.points) {
      points.push_back({{"kv_len", point.kv_len}, {"error", point.error}, {"worst", point.worst}});
    }
    rows.push_back({{"op", series.op},
                    {"kernel", series.naive ? "plain f32 sum" : "hipforge"},
                    {"slope", series.slope},
                    {"points", std::move(points)}});
  }
  return json_text(
      {{"sources", options.sources},
       {"platform", info.platform},
       {"device", info.name},
       {"compiler", info.compiler},
       {"wave", target.wave},
       {"seed", options.seed},
       {"inputs", "f32, uniform in (0, 1]"},
       {"error", "root mean square over the outputs of |value - oracle| / (2^-24 * sum of |a*b|)"},
       {"max_slope", kMaxErrorSlope},
       {"min_control_slope", kMinControlSlope},
       {"series", std::move(rows)}});
}

void print_table(const std::vector<StudySeries>& all) {
  const auto print_row = [&](const std::string& first, const auto& cell_of) {
    fmt::print("{:>8}", first);
    for (const StudySeries& series : all) fmt::print("  {:>18}", cell_of(series));
    fmt::print("\n");
  };
  print_row("kv_len", [](const auto& series) { return series.op + (series.naive ? " plain" : ""); });
  for (std::size_t i = 0; i < all.front().points.size(); ++i) {
    print_row(std::to_string(all.front().points[i].kv_len),
              [i](const auto& series) { return fmt::format("{:.3f}", series.points[i].error); });
  }
  print_row("slope", [](const auto& series) { return fmt::format("{:.3f}", series.slope); });
}

constexpr const char* kSvgBegin =
    R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 460" role="img" font-family="sans-serif" )"
    R"(font-size="13">
<style>
.back{fill:#fff} .text{fill:#222} .grid{stroke:#ddd} .s0{stroke:#1662b8;fill:#1662b8} )"
    R"(.s1{stroke:#b3541e;fill:#b3541e} .s2{stroke:#3b7d3a;fill:#3b7d3a}
path{fill:none!important;stroke-width:2} .plain{stroke-dasharray:6 4}
@media (prefers-color-scheme:dark){.back{fill:#16181c} .text{fill:#e6e6e6} .grid{stroke:#3a3d44} )"
    R"(.s0{stroke:#6aaef5;fill:#6aaef5} .s1{stroke:#f0995e;fill:#f0995e} .s2{stroke:#7cc97a;fill:#7cc97a}}
</style>
<title>Error against the number of keys</title>
<rect class="back" width="760" height="460"/>
<text class="text" x="64" y="24">error / (u·Σ|ab|), root mean square; positive f32 inputs</text>
)";

// A plot of all series, both axes logarithmic; light and dark by the reader's preference.
std::string study_svg(const std::vector<StudySeries>& all) {
  // The sides of the plot; the marks of the axis and the legend stand below it.
  constexpr double kLeft = 64.0;
  constexpr double kRight = 736.0;
  constexpr double kTop = 44.0;
  constexpr double kBottom = 340.0;
  double low = 1.0;
  double high = 1.0;
  for (const StudySeries& series : all) {
    for (const StudyPoint& point : series.points) {
      low = std::min(low, point.error);
      high = std::max(high, point.error);
    }
  }
  const double bottom = std::floor(std::log10(low));
  const double top = std::max(std::ceil(std::log10(high)), bottom + 1.0);
  const std::int64_t most = all.front().points.back().kv_len;
  const auto octaves = [](std::int64_t kv_len) {
    return std::log2(static_cast<double>(kv_len) / kStudyMinKvLen);
  };
  const auto x_of = [&](std::int64_t kv_len) {
    return kLeft + (kRight - kLeft) * octaves(kv_len) / octaves(most);
  };
  const auto y_of = [&](double error) {
    return kTop + (kBottom - kTop) * (top - std::log10(error)) / (top - bottom);
  };
  std::string svg = kSvgBegin;
  for (double decade = bottom; decade <= top; decade += 1.0) {
    const double error = std::pow(10.0, decade);
    const double y = y_of(error);
    svg += fmt::format(R"(<line class="grid" x1="64" y1="{0:.1f}" x2="736" y2="{0:.1f}"/>
<text class="text" x="56" y="{1:.1f}" text-anchor="end">{2:g}</text>
)",
                       y, y + 4.0, error);
  }
  for (std::int64_t kv_len = kStudyMinKvLen; kv_len <= most; kv_len *= 4) {
    svg += fmt::format(R"(<text class="text" x="{:.1f}" y="360" text-anchor="middle">{}</text>
)",
                       x_of(kv_len), kv_len);
  }
  svg += R"(<text class="text" x="400" y="380" text-anchor="middle">kv_len</text>
)";
  for (std::size_t i = 0; i < all.size(); ++i) {
    const StudySeries& series = all[i];
    std::string path;
    for (const StudyPoint& point : series.points) {
      path +=
          fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : " L", x_of(point.kv_len), y_of(point.error));
    }
    // A line of the legend an op, its control in the second half.
    const double x = series.naive ? (kLeft + kRight) / 2.0 : kLeft;
    const double y = 408.0 + 20.0 * static_cast<double>(i / 2);
    svg += fmt::format(R"(<path class="{0}" d="{1}"/>
<path class="{0}" d="M{2:.1f} {3:.1f} h28"/>
<text class="text" x="{4:.1f}" y="{5:.1f}">{6} (slope {7:.2f})</text>
)",
                       fmt::format("s{}{}", i / 2 % 3, series.naive ? " plain" : ""), path, x, y - 4.0,
                       x + 36.0, y, series.op + (series.naive ? ", plain f32 sum" : ""), series.slope);
  }
  return svg + "</svg>\n";
}

std::vector<StudySeries> run_study(const StudyOptions& options, const Target& target) {
  const std::pair<const char*, Pair (*)(Trial)> ops[] = {
      {"flash_attention", try_attention}, {"softmax", try_softmax}, {"weighted_matmul", try_weighted_matmul}};
  std::vector<StudySeries> all;
  for (const auto& [op, attempt] : ops) {
    StudySeries ours{op, false, {}, 0.0};
    StudySeries naive{op, true, {}, 0.0};
    for (std::int64_t kv_len = kStudyMinKvLen; kv_len <= options.max_kv_len; kv_len *= 2) {
      const auto& [point, naive_point] = attempt({kv_len, target, Rig(options.seed, nullptr)});
      ours.points.push_back(point);
      naive.points.push_back(naive_point);
    }
    for (StudySeries* series : {&ours, &naive}) {
      series->slope = log_log_slope(series->points);
      all.push_back(std::move(*series));
    }
  }
  return all;
}

}  // namespace

double log_log_slope(const std::vector<StudyPoint>& points) {
  const auto count = static_cast<double>(points.size());
  double x_sum = 0.0, y_sum = 0.0, xx_sum = 0.0, xy_sum = 0.0;
  for (const StudyPoint& point : points) {
    const double x = std::log(static_cast<double>(point.kv_len));
    const double y = std::log(point.error);
    x_sum += x;
    y_sum += y;
    xx_sum += x * x;
    xy_sum += x * y;
  }
  return (count * xy_sum - x_sum * y_sum) / (count * xx_sum - x_sum * x_sum);
}

std::vector<std::string> study_problems(const std::vector<StudySeries>& all) {
  std::vector<std::string> problems;
  for (const StudySeries& series : all) {
    // A slope that is no number is a problem of either.
    if (!series.naive && !(series.slope <= kMaxErrorSlope)) {
      problems.push_back(fmt::format("{}: the error grows with kv_len, slope {:.3f}, allowed {}", series.op,
                                     series.slope, kMaxErrorSlope));
    }
    if (series.naive && !(series.slope >= kMinControlSlope)) {
      problems.push_back(fmt::format(
          "{}: the error of a plain sum has a slope of {:.3f}, needs {} for the study to show anything",
          series.op, series.slope, kMinControlSlope));
    }
  }
  return problems;
}

int run_accuracy_study(const StudyOptions& options) {
  int devices = 0;
  throw_if_error(usable_devices(devices));
  Target target;
  const int wave = options.wave != 0 ? options.wave : default_waves().front();
#if defined(HIPFORGE_PLATFORM_CPU)
  throw_if_error(target_from_name("cpu", wave, target));
#else
  throw_if_error(device_target(target));
  if (target.wave != wave) {
    throw Error(invalid_argument("wave ", wave, ": this device has waves of ", target.wave));
  }
#endif
  const std::vector<StudySeries> all = run_study(options, target);
  print_table(all);
  const std::string json = study_json(options, target, all);
  const std::string svg = study_svg(all);
  if (options.record) {
    const std::string path = results_folder() + "/accuracy_study";
    write_file(path + ".json", json);
    write_file(path + ".svg", svg);
  }
  if (!options.json_path.empty()) write_file(options.json_path, json);
  if (!options.svg_path.empty()) write_file(options.svg_path, svg);
  const std::vector<std::string> problems = study_problems(all);
  for (const std::string& problem : problems) fmt::print("FAIL {}\n", problem);
  fmt::print("{} passed, {} failed\n", all.size() - problems.size(), problems.size());
  return problems.empty() ? kExitGood : kExitFailed;
}

}  // namespace hipforge::harness
