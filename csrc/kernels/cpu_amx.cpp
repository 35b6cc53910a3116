// x86-64 with AVX-512 and AMX, products of tiles of bfloat16; compiled with -mamx-tile -mamx-bf16 besides.
#define DISPR_ISA amx
#define DISPR_LANES 16
#include "cpu_kernels.h"
