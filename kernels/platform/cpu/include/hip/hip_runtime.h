// HIP for a machine without a GPU: kernels are ordinary C++ functions, the threads of a block are fibers.
#pragma once

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hip/hip_runtime_api.h>
#include <hip/hip_vector_types.h>

#include <hipforge_cpu/qualifiers.h>

#include <hipforge_cpu/device.h>

#include <hipforge_cpu/atomic.h>
#include <hipforge_cpu/bulk.h>
#include <hipforge_cpu/launch.h>
#include <hipforge_cpu/math.h>
#if defined(HIPFORGE_CPU_RACE)
#include <hipforge_cpu/race.h>
#endif
