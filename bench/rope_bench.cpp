#include "bench/bench.h"

HIPFORGE_BENCH(rope)
