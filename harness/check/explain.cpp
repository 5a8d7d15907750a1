#include "harness/check/explain.h"

#include "harness/core/device_info.h"
#include "harness/core/selection.h"
#include "harness/output/sheet.h"
#include "kernels/runtime/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <regex>
#include <utility>

namespace hipforge::harness {
namespace {

constexpr std::size_t kNamedCandidates = 5;

// Leaves the worst `count` of all elements, by falling share; what has none stands in front.
void keep_worst(std::vector<ExplainedElement>& elements, std::size_t count) {
  const auto worse = [](const ExplainedElement& a, const ExplainedElement& b) {
    if (std::isnan(a.share) != std::isnan(b.share)) return std::isnan(a.share);
    return a.share != b.share ? a.share > b.share : a.index < b.index;
  };
  const auto end = elements.begin() + static_cast<std::ptrdiff_t>(std::min(count, elements.size()));
  std::partial_sort(elements.begin(), end, elements.end(), worse);
  elements.erase(end, elements.end());
}

ExplainedOutput explain_output(std::span<const double> actual, const OutputExpectation& expectation,
                               std::size_t count) {
  const Expected& expected = expectation.expected;
  const std::vector<double> shares = element_shares(actual, expected);
  ExplainedOutput output{expectation.output, actual.size(), 0, {}};
  output.exact = static_cast<std::size_t>(std::ranges::count(expected.bound, 0.0));
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const double error = std::fabs(actual[i] - expected.value[i]);
    output.worst.push_back({i, "", actual[i], expected.value[i], expected.bound[i], error, shares[i]});
  }
  keep_worst(output.worst, count);
  for (ExplainedElement& element : output.worst) element.where = index_text(element.index, expected.shape);
  return output;
}

ExplainedOutput explain_judged(const Comparison& comparison, std::size_t count) {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  ExplainedOutput output{"", comparison.elements, 0, {}};
  for (const auto& [value, oracle, share] : comparison.judged) {
    const std::size_t i = output.worst.size();
    output.worst.push_back({i, fmt::format("[{}]", i), value, oracle, kNone, kNone, share});
  }
  keep_worst(output.worst, count);
  return output;
}

// The one case that `wanted` names, with its suite. Throws UsageError where there is none.
std::pair<const OpSuite*, const Case*> find_explained(const std::string& wanted) {
  std::vector<std::pair<const OpSuite*, const Case*>> found;
  std::vector<std::string> ids;
  std::regex pattern;
  try {
    pattern.assign(wanted);
  } catch (const std::regex_error&) {
    // An id may be no regular expression; an empty one matches nothing.
  }
  for (const OpSuite& suite : all_suites()) {
    for (const Case& test : suite.cases) {
      if (test.id == wanted) return {&suite, &test};
      if (!std::regex_search(test.id, pattern)) continue;
      found.emplace_back(&suite, &test);
      ids.push_back(test.id);
    }
  }
  if (found.size() == 1) return found.front();
  if (found.empty())
    throw UsageError(fmt::format("--explain: no case has the id '{}' or matches it", wanted));
  throw UsageError(fmt::format("--explain '{}' matches {} cases, needs one: {}", wanted, found.size(),
                               some_of(ids, kNamedCandidates)));
}

}  // namespace

Explanation explain_case(const Case& test, const CaseEnvironment& environment, std::size_t count) {
  Explanation explanation;
  try {
    PreparedCase prepared = test.prepare(environment);
    throw_if_error(prepared.rig->reset());
    throw_if_error(prepared.launch(environment.stream));
    explanation.result = check_case(prepared);
    // A fault, a guard or the error word: there is nothing to compare.
    if (explanation.result.outputs.empty()) return explanation;
    if (prepared.judge) {
      explanation.outputs.push_back(explain_judged(prepared.judge(*prepared.rig), count));
      return explanation;
    }
    for (const OutputExpectation& expectation : prepared.expect()) {
      const std::vector<double> actual = read_output(*prepared.rig, expectation);
      if (expectation.judge) {
        explanation.outputs.push_back(explain_judged(expectation.judge(actual), count));
      } else if (actual.size() == expectation.expected.value.size()) {  // else the result says so
        explanation.outputs.push_back(explain_output(actual, expectation, count));
      }
    }
  } catch (const std::exception& error) {
    explanation.result.passed = false;
    explanation.result.message = error.what();
  }
  return explanation;
}

std::string explanation_text(const Explanation& explanation, const OpSuite& suite) {
  std::string text;
  if (!explanation.result.passed) text += fmt::format("  {}\n", explanation.result.message);
  for (const ExplainedOutput& output : explanation.outputs) {
    text +=
        fmt::format("  {}{}{} elements", output.output, output.output.empty() ? "" : ": ", output.elements);
    if (output.exact == output.elements && !output.output.empty()) {
      text += ", all compared exactly";
    } else if (output.exact > 0) {
      text += fmt::format(", {} of them compared exactly", output.exact);
    }
    if (output.worst.size() < output.elements) text += fmt::format("; the worst {}", output.worst.size());
    text += fmt::format("\n    {:<20}{:>18}{:>18}{:>12}{:>12}{:>10}\n", "at", "value", "oracle", "error",
                        "bound", "share");
    const auto known = [](double number) {
      return std::isnan(number) ? std::string("-") : fmt::format("{:.3g}", number);
    };
    for (const ExplainedElement& element : output.worst) {
      text += fmt::format("    {:<20}{:>18.9g}{:>18.9g}{:>12}{:>12}{:>10}\n", element.where, element.value,
                          element.oracle, known(element.error), known(element.bound),
                          share_text(element.share, 4));
    }
  }
  text += fmt::format("  bound of {}:\n    ", suite.op);
  std::string bound = suite.bound;
  bound.erase(0, bound.find_first_not_of('\n'));
  return text + replaced(bound, {{'\n', "\n    "}}) + "\n";
}

int run_explain(const CheckOptions& options, const std::vector<Target>& targets) {
  const auto [suite, test] = find_explained(options.explain);
  bool passed = true;
  for (const Target& target : targets) {
    const TargetScope scope(target);
    throw_if_error(scope.status());
    const Explanation explanation = explain_case(*test, {target, options.seed});
    if (!explanation.result.passed && !recover_device()) {
      throw Error(failure(StatusCode::kHipError, "the device cannot go on after the fault of ", test->id,
                          ": ", explanation.result.message));
    }
    passed = passed && explanation.result.passed;
    fmt::print("{} ({}, wave {}, seed {}): {}, worst share {}\n{}", test->id, target.architecture,
               target.wave, options.seed, explanation.result.passed ? "passed" : "FAILED",
               share_text(explanation.result.worst_share, 4), explanation_text(explanation, *suite));
  }
  return passed ? kExitGood : kExitFailed;
}

}  // namespace hipforge::harness
