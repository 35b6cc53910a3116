// Fused GroupNorm + FiLM + SiLU + residual: what a caller hands over. Raw pointers, no torch.
#pragma once

#include <cstdint>

#include "parallel.h"

namespace dispr {

enum class Storage { float32, bfloat16, float16, float64 };

// A dense tensor of `samples` x `channels` x `voxels`; channels_last: the channels of a voxel lie side by side.
struct GroupNormShape {
  int64_t samples, channels, voxels, groups;
  bool channels_last;
};

// Parameters and statistics are float, or double where the storage is float64. Absent tensors are null.
struct GroupNormForward {
  GroupNormShape shape;
  Storage storage;
  double eps;
  const void *x, *weight, *bias;            // x; (C), (C)
  const void *scale, *shift, *residual;     // (N, C), (N, C), like x
  void *y, *mean, *rstd;                    // like x; (N, G), (N, G)
};

struct GroupNormBackward {
  GroupNormShape shape;
  Storage storage;
  const void *grad, *x, *mean, *rstd;       // like x, x; (N, G), (N, G)
  const void *weight, *bias, *scale, *shift;
  void *grad_x, *grad_weight, *grad_bias;   // like x; (C), (C)
  void *grad_scale, *grad_shift;            // (N, C), (N, C)
};

}  // namespace dispr
