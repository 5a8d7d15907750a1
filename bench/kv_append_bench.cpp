#include "bench/bench.h"

HIPFORGE_BENCH(kv_append)
