#include "bench/bench.h"

HIPFORGE_BENCH(causal_mask)
