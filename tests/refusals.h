#pragma once

#include "kernels/runtime/operands.h"
#include "kernels/runtime/target.h"
#include "kernels/runtime/tensor.h"
#include "tests/status_matchers.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace hipforge {

/// One change that makes a legal call illegal, and what the refusal must say. A Fixture is a legal call:
/// `params`, and the memory that they are views of.
template <class Fixture>
struct Refusal {
  StatusCode code;
  std::function<void(Fixture&)> change;
  std::vector<std::string> texts;
};

inline constexpr StatusCode kInvalid = StatusCode::kInvalidArgument;
inline constexpr StatusCode kUnsupported = StatusCode::kUnsupported;

/// The launcher refuses each of them.
template <class Fixture, class Launcher>
void expect_refusals(Launcher* launch, std::initializer_list<Refusal<Fixture>> refusals) {
  for (const Refusal<Fixture>& refusal : refusals) {
    SCOPED_TRACE(refusal.texts.front());
    Fixture fixture;
    refusal.change(fixture);
    const Status status = launch(fixture.params, nullptr, kCurrentDevice);
    for (const std::string& text : refusal.texts) expect_status(status, refusal.code, text);
  }
}

inline std::int64_t bytes_of(const TensorView& tensor) {
  return tensor.extent() * static_cast<std::int64_t>(dtype_size(tensor.dtype));
}

/// What every op refuses, by its list of operands: one that is absent and not optional, and an output that
/// lies on another operand. Returns how many refusals that were.
template <class Fixture, class Launcher>
int expect_operands_checked(Launcher* launch) {
  const auto refused = [&](const auto& change, const auto&... texts) {
    Fixture fixture;
    for_each_operand(fixture.params, [&](const OperandRole& role, TensorView& tensor) {
      change(fixture.params, role, tensor);
    });
    const Status status = launch(fixture.params, nullptr, kCurrentDevice);
    expect_status(status, kInvalid, texts...);
  };
  int count = 0;
  Fixture legal;
  for_each_operand(legal.params, [&](const OperandRole& one, TensorView& tensor) {
    SCOPED_TRACE(one.name);
    if (!one.optional()) {
      ++count;
      refused(
          [&](auto&, const OperandRole& role, TensorView& at) {
            if (std::string_view(role.name) == one.name) at = {};
          },
          one.name);
    }
    if (!one.out() || tensor.numel() == 0) return;
    for_each_operand(legal.params, [&](const OperandRole& other, TensorView& below) {
      if (std::string_view(other.name) == one.name || below.numel() == 0) return;
      if (one.may_be(other.name) || other.may_be(one.name)) return;
      ++count;
      // The smaller one is moved, so that it reaches no third one.
      const bool moves = bytes_of(tensor) <= bytes_of(below);
      const std::string_view moved = moves ? one.name : other.name;
      const std::string_view stays = moves ? other.name : one.name;
      refused(
          [&](auto& params, const OperandRole& role, TensorView& at) {
            if (role.name != moved) return;
            for_each_operand(params, [&](const OperandRole& found, TensorView& under) {
              if (found.name == stays) at.data = under.data;
            });
          },
          one.name, other.name, "overlap in memory");
    });
  });
  return count;
}

}  // namespace hipforge
