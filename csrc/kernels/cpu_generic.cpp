// Every processor: the compiler's baseline (SSE2 on x86-64, NEON on 64-bit Arm).
#define DISPR_ISA generic
#define DISPR_LANES 4
#include "cpu_kernels.h"
