// Checks every launch against its Eigen reference, on the very inputs that the kernel got.
#pragma once

#include "kernels/runtime/target.h"
#include "model_runner/op_observer.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hipforge::runner {

/// What was seen of one op.
struct OpVerdict {
  std::string op;  // as its files are named: "rms_norm"
  std::int64_t launches = 0;
  std::int64_t elements = 0;  // of outputs compared
  double worst_share = 0.0;   // largest error over its bound; above 1 is wrong, NaN too
  std::string where;          // of the worst: "blk.3 attn_q [0, 17], step 5"
  bool passed = true;
};

/// An observer that recomputes each op in double and compares within the op's derived bound. The reference
/// gets what the kernel got, so an error shows in the op that made it and nowhere else.
class Verifier : public OpObserver {
 public:
  /// Bounds depend on the kernels that run here: asks for the device's target. Throws hipforge::Error.
  Verifier();

  void before(const OpSite& site, const OpParams& params) override;
  void after(const OpSite& site, const OpParams& params) override;

  /// In the order in which ops were first launched.
  [[nodiscard]] const std::vector<OpVerdict>& verdicts() const { return verdicts_; }
  [[nodiscard]] bool passed() const { return !first_failure_.has_value(); }
  /// The first launch whose result was off: op, place and numbers.
  [[nodiscard]] const std::optional<std::string>& first_failure() const { return first_failure_; }
  /// One line per op, and one with the outcome.
  [[nodiscard]] std::string table() const;

 private:
  struct Outcome;
  struct Saved {
    TensorView view;
    std::vector<double> values;
  };

  template <class Params>
  void save(const Params& params);
  template <class Params>
  void check(const Params& params, Outcome& outcome);
  // Row-major values of an operand of the op at hand, or of a range of its outermost axis, as they were before it.
  std::vector<double> fetch(const TensorView& view) const;
  void record(const OpSite& site, const std::string& op, const Outcome& outcome);

  Target target_;
  std::vector<Saved> saved_;  // inputs of the op at hand
  std::vector<OpVerdict> verdicts_;
  std::optional<std::string> first_failure_;
  std::int64_t step_ = 0;
};

}  // namespace hipforge::runner
