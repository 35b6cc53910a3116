// x86-64 with AVX-512 (F, BW, DQ, VL); compiled with -mavx512f -mavx512bw -mavx512dq -mavx512vl.
#define DISPR_ISA avx512
#define DISPR_LANES 16
#include "cpu_kernels.h"
