#include "harness/sweep/large_cases.h"

#include "harness/system/number.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <random>

namespace hipforge::harness {

std::vector<std::int64_t> spread(std::int64_t size, std::int64_t count, std::uint64_t seed) {
  std::vector<std::int64_t> chosen(static_cast<std::size_t>(std::clamp<std::int64_t>(size, 0, count)));
  std::iota(chosen.begin(), chosen.end(), std::int64_t{0});
  if (size <= count || chosen.empty()) return chosen;
  std::mt19937_64 random(seed);
  for (std::int64_t& part : chosen) {
    const std::int64_t begin = size * part / count;
    const auto width = static_cast<std::uint64_t>(size * (part + 1) / count - begin);
    part = begin + static_cast<std::int64_t>(random() % width);
  }
  chosen.front() = 0;
  chosen.back() = size - 1;
  return chosen;
}

std::vector<Comb> combs(std::int64_t size, std::int64_t count, std::int64_t teeth, std::uint64_t seed) {
  const std::int64_t step = (size + teeth - 1) / teeth;
  std::vector<std::int64_t> firsts = spread(step, count, seed);
  const std::int64_t last = (size - 1) % std::max<std::int64_t>(step, 1);
  if (!firsts.empty() && std::find(firsts.begin(), firsts.end(), last) == firsts.end()) firsts.back() = last;
  std::vector<Comb> made;
  for (std::int64_t first : firsts) made.push_back({first, (size - first + step - 1) / step, step});
  return made;
}

void SampledOutputs::add(const OutputExpectation& part, const TensorView& whole) {
  auto at = std::ranges::find(outputs_, part.output, &Output::name);
  if (at == outputs_.end()) at = outputs_.insert(at, {part.output, whole, {}, {}, {}});
  at->parts.push_back(part.view);
  // In a contiguous output an element's offset is its index.
  const std::int64_t first = (static_cast<std::byte*>(part.view.data) - static_cast<std::byte*>(whole.data)) /
                             static_cast<std::ptrdiff_t>(dtype_size(whole.dtype));
  for_each_element(part.view, [&](std::size_t, std::size_t offset) {
    at->indices.push_back(first + static_cast<std::int64_t>(offset));
  });
  Expected& expected = at->expected;
  expected.dtype = part.expected.dtype;
  expected.value.insert(expected.value.end(), part.expected.value.begin(), part.expected.value.end());
  expected.bound.insert(expected.bound.end(), part.expected.bound.begin(), part.expected.bound.end());
  expected.shape = {static_cast<std::int64_t>(expected.value.size())};
}

Comparison SampledOutputs::judge(const Rig& rig) const {
  Comparison worst;
  for (const Output& output : outputs_) {
    std::vector<double> values;
    for (const TensorView& part : output.parts) {
      const std::vector<double> of_part = rig.now(part);
      values.insert(values.end(), of_part.begin(), of_part.end());
    }
    Comparison comparison = compare(values, output.expected);
    std::string where = output.name;
    if (comparison.worst_index < output.indices.size()) {
      where += index_text(static_cast<std::size_t>(output.indices[comparison.worst_index]),
                          shape_of(output.whole));
    }
    comparison.where = where;
    if (!comparison.passed) {
      comparison.message = fmt::format("{} of {} sampled elements are wrong, the worst is {}: sample {}",
                                       comparison.failures, comparison.elements, where, comparison.message);
      return comparison;
    }
    if (const std::uint64_t count = rig.not_finite(output.whole); count != 0) {
      comparison.passed = false;
      comparison.message =
          fmt::format("{}: {} of {} elements are NaN or infinite", output.name, count, output.whole.numel());
      return comparison;
    }
    if (comparison.worst_share >= worst.worst_share) worst = comparison;
  }
  return worst;
}

LargeLine::LargeLine(TableCase& row) {
  const auto taken = [&](std::string_view name) {
    std::string text;
    std::erase_if(row.words, [&](const std::string& word) {
      if (!word.starts_with(name)) return false;
      text = word.substr(name.size());
      return true;
    });
    return text;
  };
  const auto sizes = [&](std::string_view name) {
    std::string names = taken(name);
    std::ranges::replace(names, '+', ' ');
    return words_of(names);
  };
  what = taken("what=");
  share = parse_number<double>(taken("share=")).value_or(0.0);
  tflops = parse_number<double>(taken("tflops=")).value_or(0.0);
  shrink = sizes("shrink=");
  shape = sizes("shape=");
}

}  // namespace hipforge::harness
