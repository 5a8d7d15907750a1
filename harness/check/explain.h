#pragma once

#include "harness/check/check_options.h"
#include "harness/core/case.h"

#include <string>
#include <vector>

namespace hipforge::harness {

/// Elements of each output that an explanation shows.
inline constexpr std::size_t kExplainedElements = 10;

/// One element of an output beside its oracle, as check_case() saw it.
struct ExplainedElement {
  std::size_t index = 0;
  std::string where;
  double value = 0.0;
  double oracle = 0.0;
  double bound = 0.0;  ///< NaN in a judged case, which has shares alone
  double error = 0.0;  ///< likewise
  double share = 0.0;
};

struct ExplainedOutput {
  std::string output;  ///< empty in a judged case
  std::size_t elements = 0;
  std::size_t exact = 0;                ///< of them, those whose bound is 0
  std::vector<ExplainedElement> worst;  ///< by falling share
};

struct Explanation {
  CaseResult result;
  std::vector<ExplainedOutput> outputs;  ///< empty where the case failed before it was compared
};

/// Runs a case as run_case() does and keeps the worst `count` elements of each output.
[[nodiscard]] Explanation explain_case(const Case& test, const CaseEnvironment& environment,
                                       std::size_t count = kExplainedElements);

/// An explanation as text, with the suite's bound in words.
[[nodiscard]] std::string explanation_text(const Explanation& explanation, const OpSuite& suite);

/// `hipforge check --explain CASE`: the one case whose id is options.explain, or that alone matches it as a
/// regular expression, on each selected target. Throws UsageError where none or several match.
[[nodiscard]] int run_explain(const CheckOptions& options, const std::vector<Target>& targets);

}  // namespace hipforge::harness
