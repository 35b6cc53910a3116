// Marks arithmetic that is written once and runs on the CPU and on CUDA devices.
#pragma once

#ifdef __CUDACC__
#define DISPR_HOST_DEVICE __host__ __device__
#else
#define DISPR_HOST_DEVICE
#endif
