// What a launch under the race detector says.
#pragma once

#include "platform_fixture.h"

#include <string>

namespace hipforge::test {

class RaceTest : public PlatformTest {
 protected:
  RaceTest() { EXPECT_HIP(hipforge_cpu_set_race(1)); }
  ~RaceTest() override { static_cast<void>(hipforge_cpu_set_race(0)); }

  /// The findings of the launches since the last call; "" if they were right.
  static std::string found() {
    const hipError_t error = hipDeviceSynchronize();
    const std::string text = error == hipSuccess ? "" : hipforge_cpu_last_fault();
    hipforge_cpu_clear_fault();
    return text;
  }

  /// `launch` under schedules 0 to 7, which must all say the same: the first of them.
  template <typename Launch>
  static std::string under_schedules(Launch&& launch) {
    std::string first;
    for (const uint64_t seed : {0u, 1u, 2u, 3u, 4u, 5u, 6u, 7u}) {
      hipforge_cpu_set_schedule(seed);
      launch();
      const std::string text = found();
      if (seed == 0) first = text;
      EXPECT_EQ(text.empty(), first.empty()) << "schedule " << seed << ": " << text << " / " << first;
    }
    hipforge_cpu_set_schedule(0);
    return first;
  }

  template <typename T>
  T* zeros(size_t count) {
    T* pointer = device<T>(count);
    EXPECT_HIP(hipMemset(pointer, 0, count * sizeof(T)));
    return pointer;
  }
};

#define EXPECT_RACE(text, ...) expect_parts(text, {"race: ", __VA_ARGS__})
#define EXPECT_UNWRITTEN(text, ...) expect_parts(text, {"nobody wrote what is read: ", __VA_ARGS__})
#define EXPECT_CLEAN(text) EXPECT_EQ(text, "")

inline void expect_parts(const std::string& text, std::initializer_list<std::string> parts) {
  for (const std::string& part : parts) {
    EXPECT_NE(text.find(part), std::string::npos) << "\"" << part << "\" is not in \"" << text << "\"";
  }
}

}  // namespace hipforge::test
