#include "reference/sample.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace hipforge::reference {

PhiloxBlock philox4x32_10(PhiloxBlock counter, std::uint64_t key) {
  auto low_key = static_cast<std::uint32_t>(key);
  auto high_key = static_cast<std::uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t even = std::uint64_t{0xD2511F53u} * counter.words[0];
    const std::uint64_t odd = std::uint64_t{0xCD9E8D57u} * counter.words[2];
    counter = {{static_cast<std::uint32_t>(odd >> 32) ^ counter.words[1] ^ low_key,
                static_cast<std::uint32_t>(odd),
                static_cast<std::uint32_t>(even >> 32) ^ counter.words[3] ^ high_key,
                static_cast<std::uint32_t>(even)}};
    low_key += 0x9E3779B9u;
    high_key += 0xBB67AE85u;
  }
  return counter;
}

double philox_uniform(std::uint64_t seed, std::uint64_t subsequence) {
  const PhiloxBlock counter{
      {0, 0, static_cast<std::uint32_t>(subsequence), static_cast<std::uint32_t>(subsequence >> 32)}};
  const auto bits = static_cast<float>(philox4x32_10(counter, seed).words[0]);
  // The scaling is exact; the additions round to f32 as the device's do.
  return static_cast<double>(bits * 0x1p-32f + 0x1p-32f);
}

SampleDistribution sample_distribution(std::span<const double> logits, double temperature,
                                       std::int64_t top_k) {
  SampleDistribution distribution;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (!std::isnan(logits[i])) distribution.order.push_back(static_cast<std::int64_t>(i));
  }
  const auto logit = [&](std::int64_t i) { return logits[static_cast<std::size_t>(i)]; };
  std::stable_sort(distribution.order.begin(), distribution.order.end(),
                   [&](std::int64_t a, std::int64_t b) { return logit(a) > logit(b); });
  const double max =
      distribution.order.empty() ? -std::numeric_limits<double>::infinity() : logit(distribution.order[0]);
  if (max == -std::numeric_limits<double>::infinity()) {
    distribution.order.clear();
    return distribution;
  }
  if (top_k > 0 && top_k < static_cast<std::int64_t>(distribution.order.size())) {
    distribution.order.resize(static_cast<std::size_t>(top_k));
  }
  for (std::int64_t i : distribution.order) {
    distribution.exponent.push_back(logit(i) == max ? 0.0 : (logit(i) - max) / temperature);
    // Not Eigen's exp: its exp(−inf) is a subnormal, and a masked token must weigh nothing.
    distribution.weight.push_back(std::exp(distribution.exponent.back()));
  }
  return distribution;
}

std::int64_t sample_nucleus(const SampleDistribution& distribution, double top_p) {
  const std::vector<double>& weight = distribution.weight;
  const double wanted = top_p * std::accumulate(weight.begin(), weight.end(), 0.0);
  double sum = 0.0;
  for (std::size_t n = 0; n < weight.size(); ++n) {
    sum += weight[n];
    if (sum >= wanted) return static_cast<std::int64_t>(n) + 1;
  }
  return static_cast<std::int64_t>(weight.size());
}

std::int64_t sample_token(const SampleDistribution& distribution, std::int64_t kept, double u) {
  std::vector<std::size_t> by_index(static_cast<std::size_t>(kept));
  std::iota(by_index.begin(), by_index.end(), std::size_t{0});
  std::sort(by_index.begin(), by_index.end(),
            [&](std::size_t a, std::size_t b) { return distribution.order[a] < distribution.order[b]; });
  double total = 0.0;
  for (std::size_t at : by_index) total += distribution.weight[at];
  double sum = 0.0;
  std::int64_t token = -1;
  for (std::size_t at : by_index) {
    if (distribution.weight[at] == 0.0) continue;
    sum += distribution.weight[at];
    token = distribution.order[at];
    if (sum >= u * total) break;
  }
  return token;
}

}  // namespace hipforge::reference
