#include "bench/bench.h"

HIPFORGE_BENCH(sample)
