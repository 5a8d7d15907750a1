#include "model_runner/verify.h"

#include "harness/core/case.h"
#include "kernels/runtime/check.h"
#include "model_runner/device_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <type_traits>

namespace hipforge::runner {
namespace {

// Larger inputs, weights and tables, are fetched when the oracle asks for them, and only what it asks for.
constexpr std::int64_t kMostSavedElements = std::int64_t{1} << 22;

std::string site_text(const OpSite& site) {
  return site.layer < 0 ? std::string(site.part) : fmt::format("blk.{} {}", site.layer, site.part);
}

}  // namespace

// What the comparisons of one launch came to.
struct Verifier::Outcome {
  bool passed = true;
  double worst_share = -1.0;
  std::int64_t elements = 0;
  std::string where;
  std::string message;

  void add(const std::string& output, const harness::Comparison& comparison) {
    elements += static_cast<std::int64_t>(comparison.elements);
    // Written so that a share of NaN counts as the worst.
    if (!(comparison.worst_share <= worst_share)) {
      worst_share = comparison.worst_share;
      where = comparison.where;
    }
    if (!comparison.passed && passed) {
      passed = false;
      message = fmt::format("{} {}: {}", output, comparison.where, comparison.message);
    }
  }
};

Verifier::Verifier() {
  throw_if_error(device_target(target_));
}

void Verifier::before(const OpSite&, const OpParams& params) {
  saved_.clear();
  std::visit([&](const auto& op) { save(op); }, params);
}

void Verifier::after(const OpSite& site, const OpParams& params) {
  std::visit(
      [&](const auto& op) {
        if constexpr (std::is_same_v<std::decay_t<decltype(op)>, EmbeddingParams>) ++step_;
        Outcome outcome;
        check(op, outcome);
        record(site, op_name(op), outcome);
      },
      params);
}

void Verifier::record(const OpSite& site, const std::string& op, const Outcome& outcome) {
  auto verdict = std::find_if(verdicts_.begin(), verdicts_.end(),
                              [&](const OpVerdict& known) { return known.op == op; });
  if (verdict == verdicts_.end()) {
    verdicts_.push_back({.op = op, .where = {}});
    verdict = std::prev(verdicts_.end());
  }
  ++verdict->launches;
  verdict->elements += outcome.elements;
  if (verdict->launches == 1 || !(outcome.worst_share <= verdict->worst_share)) {
    verdict->worst_share = std::max(outcome.worst_share, 0.0);
    verdict->where = fmt::format("{} {}, step {}", site_text(site), outcome.where, step_);
  }
  if (!outcome.passed) {
    verdict->passed = false;
    if (!first_failure_)
      first_failure_ = fmt::format("{} at {}, step {}: {}", op, site_text(site), step_, outcome.message);
  }
}

std::string Verifier::table() const {
  std::string text =
      fmt::format("{:<16} {:>9} {:>12} {:>14}  {}\n", "op", "launches", "elements", "worst/bound", "where");
  for (const OpVerdict& verdict : verdicts_) {
    text += fmt::format("{:<16} {:>9} {:>12} {:>14.4f}  {}{}\n", verdict.op, verdict.launches,
                        verdict.elements, verdict.worst_share, verdict.where, verdict.passed ? "" : "  OVER");
  }
  text += first_failure_ ? fmt::format("verify: FAILED, first in {}\n", *first_failure_)
                         : "verify: every op of every layer is within its bound\n";
  return text;
}

template <class Params>
void Verifier::save(const Params& params) {
  for_each_operand(params, [&](const OperandRole& role, const TensorView& view) {
    if (!role.in() || view.numel() == 0) return;
    bool written = false;
    for_each_operand(params, [&](const OperandRole& other, const TensorView& output) {
      if (!other.out() || !output.present()) return;
      written = written || !check_no_overlap("verify", role.name, view, other.name, output, false).ok();
    });
    if (written || view.numel() <= kMostSavedElements) saved_.push_back({view, download_values(view)});
  });
}

std::vector<double> Verifier::fetch(const TensorView& view) const {
  for (const Saved& saved : saved_) {
    const TensorView& whole = saved.view;
    const std::ptrdiff_t row_bytes = whole.strides[0] * static_cast<std::ptrdiff_t>(dtype_size(whole.dtype));
    const std::ptrdiff_t bytes = static_cast<std::byte*>(view.data) - static_cast<std::byte*>(whole.data);
    if (view.rank != whole.rank || view.strides != whole.strides || row_bytes == 0 || bytes % row_bytes != 0)
      continue;
    const std::int64_t first = bytes / row_bytes;
    if (first < 0 || first + view.shape[0] > whole.shape[0]) continue;
    if (!std::equal(view.shape.begin() + 1, view.shape.begin() + view.rank, whole.shape.begin() + 1))
      continue;
    const std::int64_t row = whole.numel() / whole.shape[0];
    const auto begin = saved.values.begin() + first * row;
    return std::vector<double>(begin, begin + view.shape[0] * row);
  }
  return download_values(view);
}

template <class Params>
void Verifier::check(const Params& params, Outcome& outcome) {
  const auto fetcher = [this](const TensorView& view) { return fetch(view); };
  for (const auto& output : harness::suite_of(op_name(params)).expect(params, fetcher, target_)) {
    const std::vector<double> values = download_values(output.view);
    outcome.add(output.output,
                output.judge ? output.judge(values) : harness::compare(values, output.expected));
  }
}

}  // namespace hipforge::runner
