#pragma once

#include "harness/check/check_options.h"

#include <string>

namespace hipforge::harness {

/// "K/N" with 0 <= K < N into shard and shards; false, and options as they were, for any other text.
[[nodiscard]] bool parse_shard(const std::string& text, CheckOptions& options);

/// `hipforge check`: returns an exit code; throws Error where it could not run, UsageError for what cannot be
/// asked for.
[[nodiscard]] int run_check(const CheckOptions& options);

}  // namespace hipforge::harness
