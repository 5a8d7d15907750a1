#include "harness/study/accuracy_study.h"

#include "harness/check/accuracy_baseline.h"
#include "harness/core/device_info.h"
#include "harness/core/rig.h"
#include "harness/core/tolerance.h"
#include "harness/output/summary.h"
#include "harness/study/naive_sums.h"
#include "harness/system/exit_code.h"
#include "harness/system/file.h"
#include "kernels/runtime/check.h"
#include "kernels/runtime/device.h"
#include "reference/flash_attention.h"
#include "reference/softmax.h"
#include "reference/weighted_matmul.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace hipforge::harness {
namespace {

// Outputs enough for a steady mean, keys few enough for a machine without a GPU.
constexpr std::int64_t kRows = 16;
constexpr std::int64_t kHeadDim = 16;

struct Pair {
  StudyPoint ours;
  StudyPoint naive;
};

// One op at one length: launches it and its control on the same operands.
struct Trial {
  std::int64_t kv_len;
  const Target& target;
  Rig rig;

  TensorView positive(const std::string& name, const Shape& shape) {
    return rig.input(name, DType::kF32, shape, Family::kPositive);
  }
  // `out` is the params' output, of this shape; errors are measured by the oracle's sums of magnitudes.
  template <class Params>
  Pair judge(Params params, TensorView Params::*out, const Shape& shape, const std::vector<double>& value,
             const std::vector<double>& magnitude, Status (*op)(const Params&, hipStream_t, const Target&),
             Status (*naive)(const Params&, hipStream_t)) {
    params.*out = rig.output("ours", DType::kF32, shape);
    Params control = params;
    control.*out = rig.output("naive", DType::kF32, shape);
    throw_if_error(rig.reset());
    throw_if_error(op(params, nullptr, target));
    throw_if_error(naive(control, nullptr));
    throw_if_error(rig.finish());
    return {point_of("ours", value, magnitude), point_of("naive", value, magnitude)};
  }
  [[nodiscard]] StudyPoint point_of(const std::string& name, const std::vector<double>& value,
                                    const std::vector<double>& magnitude) const {
    const std::vector<double> actual = rig.read(name);
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
                     oracle.magnitude, weighted_matmul, naive_weighted_matmul);
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
                     naive_softmax);
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
                     flash_attention, naive_attention);
}

constexpr const char* kError =
    "root mean square over the outputs of |value - oracle| / (2^-24 * sum of |a*b|)";

void write_json(const StudyOptions& options, const Target& target, const std::vector<StudySeries>& all,
                const std::string& path) {
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
  write_file(path, json_text({{"sources", options.sources},
                              {"platform", info.platform},
                              {"device", info.name},
                              {"compiler", info.compiler},
                              {"wave", target.wave},
                              {"seed", options.seed},
                              {"inputs", "f32, uniform in (0, 1]"},
                              {"error", kError},
                              {"max_slope", kMaxErrorSlope},
                              {"min_control_slope", kMinControlSlope},
                              {"series", std::move(rows)}}));
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

constexpr const char* kSvgStyle =
    ".back{fill:#fff} .text{fill:#222} .grid{stroke:#ddd} .s0{stroke:#1662b8;fill:#1662b8} "
    ".s1{stroke:#b3541e;fill:#b3541e} .s2{stroke:#3b7d3a;fill:#3b7d3a}\n"
    "path{fill:none!important;stroke-width:2} .plain{stroke-dasharray:6 4}\n"
    "@media (prefers-color-scheme:dark){.back{fill:#16181c} .text{fill:#e6e6e6} .grid{stroke:#3a3d44} "
    ".s0{stroke:#6aaef5;fill:#6aaef5} .s1{stroke:#f0995e;fill:#f0995e} .s2{stroke:#7cc97a;fill:#7cc97a}}\n";

// A plot of all series, both axes logarithmic; light and dark by the reader's preference.
std::string study_svg(const std::vector<StudySeries>& all) {
  constexpr double kWidth = 760.0;
  constexpr double kHeight = 460.0;
  constexpr double kLeft = 64.0;
  constexpr double kRight = 24.0;
  constexpr double kTop = 44.0;
  constexpr double kBottom = 120.0;
  double low = 1.0;
  double high = 1.0;
  std::int64_t most = kStudyMinKvLen;
  for (const StudySeries& series : all) {
    for (const StudyPoint& point : series.points) {
      low = std::min(low, point.error);
      high = std::max(high, point.error);
      most = std::max(most, point.kv_len);
    }
  }
  const double bottom = std::floor(std::log10(low));
  const double top = std::max(std::ceil(std::log10(high)), bottom + 1.0);
  const double octaves = std::max(std::log2(static_cast<double>(most) / kStudyMinKvLen), 1.0);
  const auto x_of = [&](std::int64_t kv_len) {
    return kLeft +
           (kWidth - kLeft - kRight) * std::log2(static_cast<double>(kv_len) / kStudyMinKvLen) / octaves;
  };
  const auto y_of = [&](double error) {
    return kTop + (kHeight - kTop - kBottom) * (top - std::log10(error)) / (top - bottom);
  };
  std::string svg = fmt::format(R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1}" role="img" )"
                                R"(font-family="sans-serif" font-size="13">
<style>
{2}</style>
<title>Error against the number of keys</title>
<rect class="back" width="{0}" height="{1}"/>
<text class="text" x="{3}" y="24">error / (u·Σ|ab|), root mean square; positive f32 inputs</text>
)",
                                kWidth, kHeight, kSvgStyle, kLeft);
  for (double decade = bottom; decade <= top; decade += 1.0) {
    const double error = std::pow(10.0, decade);
    const double y = y_of(error);
    svg += fmt::format(R"(<line class="grid" x1="{}" y1="{:.1f}" x2="{}" y2="{:.1f}"/>
<text class="text" x="{}" y="{:.1f}" text-anchor="end">{:g}</text>
)",
                       kLeft, y, kWidth - kRight, y, kLeft - 8.0, y + 4.0, error);
  }
  const auto add_middle_text = [&](const std::string& x, double y, const auto& text) {
    svg += fmt::format(R"(<text class="text" x="{}" y="{}" text-anchor="middle">{}</text>
)",
                       x, kHeight - kBottom + y, text);
  };
  for (std::int64_t kv_len = kStudyMinKvLen; kv_len <= most; kv_len *= 4) {
    add_middle_text(fmt::format("{:.1f}", x_of(kv_len)), 20.0, kv_len);
  }
  add_middle_text(fmt::format("{}", (kLeft + kWidth - kRight) / 2.0), 40.0, "kv_len");
  for (std::size_t i = 0; i < all.size(); ++i) {
    const StudySeries& series = all[i];
    std::string path;
    for (const StudyPoint& point : series.points) {
      path +=
          fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : " L", x_of(point.kv_len), y_of(point.error));
    }
    const double x = kLeft + (series.naive ? (kWidth - kLeft - kRight) / 2.0 : 0.0);
    const double y = kHeight - 52.0 + 20.0 * static_cast<double>(i / 2);
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
      const Pair pair = attempt({kv_len, target, Rig(options.seed, nullptr)});
      ours.points.push_back(pair.ours);
      naive.points.push_back(pair.naive);
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
  if (options.max_kv_len < 2 * kStudyMinKvLen || options.max_kv_len > kStudyMostKvLen) {
    return usage_error("accuracy-study",
                       fmt::format("--max-kv-len {} is not from {} to {}", options.max_kv_len,
                                   2 * kStudyMinKvLen, kStudyMostKvLen));
  }
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
  if (options.record) {
    const std::string path = results_folder() + "/accuracy_study";
    write_json(options, target, all, path + ".json");
    write_file(path + ".svg", study_svg(all));
  }
  if (!options.json_path.empty()) write_json(options, target, all, options.json_path);
  if (!options.svg_path.empty()) write_file(options.svg_path, study_svg(all));
  const std::vector<std::string> problems = study_problems(all);
  for (const std::string& problem : problems) fmt::print("FAIL {}\n", problem);
  fmt::print("{} passed, {} failed\n", all.size() - problems.size(), problems.size());
  return problems.empty() ? kExitGood : kExitFailed;
}

}  // namespace hipforge::harness
