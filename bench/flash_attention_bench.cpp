#include "bench/bench.h"

HIPFORGE_BENCH(flash_attention)
