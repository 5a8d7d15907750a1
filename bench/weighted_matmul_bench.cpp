#include "bench/bench.h"

HIPFORGE_BENCH(weighted_matmul)
