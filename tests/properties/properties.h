#pragma once

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace hipforge {

/// A size from 1 to `most`, as often of one digit as of two: edges lie among the small ones.
inline rc::Gen<std::int64_t> size_up_to(std::int64_t most) {
  return rc::gen::exec([most] {
    static const std::vector<std::int64_t> kCeilings{1, 2, 4, 9, 17, 33, 65, 130, 260, 520, 1030, 2060};
    const std::int64_t ceiling = *rc::gen::elementOf(kCeilings);
    return *rc::gen::inRange<std::int64_t>(1, std::min(ceiling, most) + 1);
  });
}

}  // namespace hipforge
