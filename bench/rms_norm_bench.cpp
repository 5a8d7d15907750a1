#include "bench/bench.h"

HIPFORGE_BENCH(rms_norm)
