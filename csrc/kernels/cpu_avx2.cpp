// x86-64 with AVX2 and FMA; compiled with -mavx2 -mfma -mbmi2, which come together.
#define DISPR_ISA avx2
#define DISPR_LANES 8
#include "cpu_kernels.h"
