#pragma once

#include "harness/core/case.h"
#include "harness/core/inputs.h"

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace hipforge::harness {

/// Kinds of inputs that every op is tried with: a suite has cases of each (Case::families), in every dtype
/// and layout, or an exclusion that says why it cannot.
inline constexpr std::array<const char*, 15> kInputFamilies = {
    "normal",          "uniform",
    "outliers",         // some elements twenty times the rest
    "large",            // ±1e4 in f16, ±1e30 in f32 and bf16
    "subnormal",        // below the dtype's smallest normal number
    "equal",            // all elements the same
    "one_hot",          // all but one element of a row zero
    "integers",         // with an exact answer, compared exactly
    "cancel",           // terms that take each other away
    "masked_rows",      // rows of which nothing is left
    "minus_infinity",   // −infinity, as a mask or a removed score has it
    "nan_behind_mask",  // NaN and infinity where nobody may look
    "non_finite",       // NaN and infinities where they count
    "empty",            // a dimension of 0
    "size_1",           // a dimension of 1
};

/// The family's name among the above.
[[nodiscard]] const char* input_family(Family family);

/// The values of a row-major tensor: at(index).
[[nodiscard]] std::vector<double> values_of(const Shape& shape,
                                            const std::function<double(std::int64_t)>& at);

/// These values over and over.
[[nodiscard]] std::vector<double> repeated(const Shape& shape, std::span<const double> cycle);

/// NaN, infinities and zeros of both signs over and over, numbers between them.
[[nodiscard]] std::vector<double> non_finite_values(const Shape& shape);

/// Row-major values of which rows 1, 2 and 3 of every four hold a NaN, −infinity or +infinity here and there:
/// what `ordinary(row, col)` says elsewhere.
[[nodiscard]] std::vector<double> non_finite_rows(
    std::int64_t rows, std::int64_t cols, const std::function<double(std::int64_t, std::int64_t)>& ordinary);

/// What a sum with `x` nearly takes away: all but its last bits.
[[nodiscard]] std::vector<double> nearly_opposite(const std::vector<double>& x);

/// Notes the sizes of a case by name, and that it is "empty" or of "size_1" where it is.
void set_sizes(Case& test, std::vector<std::pair<std::string, std::int64_t>> sizes);

/// Excludes these families whatever the layout.
void exclude_families(OpSuite& suite, const std::vector<std::string>& families, const std::string& reason);

/// What a suite's coverage is counted by: its own features, then the families.
[[nodiscard]] std::vector<std::string> counted_features(const OpSuite& suite);

/// Adds what `make` makes of each size around an edge that no case of this dtype and layout has yet.
void fill_edges(OpSuite& suite, DType dtype, const std::string& layout,
                const std::function<Case(const std::string& dimension, std::int64_t size)>& make);

/// What is missing of families and edges in a suite.
[[nodiscard]] std::vector<std::string> family_holes(const OpSuite& suite);

}  // namespace hipforge::harness
