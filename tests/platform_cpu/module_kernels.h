// The arguments of the test module's kernels.
#pragma once

namespace hipforge::test {

struct ScaleArgs {
  float* values;
  float factor;
  unsigned count;
  int unused[5];
};

}  // namespace hipforge::test
