// x86-64 with AVX-512 and its products of bfloat16 (vdpbf16ps); compiled with cpu_avx512.cpp's flags and -mavx512bf16.
#define DISPR_ISA avx512_bf16
#define DISPR_LANES 16
#include "cpu_kernels.h"
