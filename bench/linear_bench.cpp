#include "bench/bench.h"

HIPFORGE_BENCH(linear)
