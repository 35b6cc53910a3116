// Projection of patches: what a caller hands over. Raw pointers, no torch.
#pragma once

#include "group_norm.h"

namespace dispr {

// A token's values are the channels of a patch of `gather`³ voxels of x, voxel by voxel; weight has one row per output
// and as many columns as a token has values. The outputs of a token, scaled, go to `scatter`³ voxels of y: a share to
// each, or with `repeat` all of them to every one. x and y: samples x depth x height x width x channels, dense, the
// channels of a voxel side by side; depth, height and width count tokens. residual is like y, whose storage may be another
// than x's: one of them float32, the other bfloat16. Parameters are float, or double where the storage is float64; absent
// tensors are null; scale has one value per sample; bound < 0 is none. `bf16`: the factors may be rounded to bfloat16.
struct PatchProjection {
  int64_t samples, depth, height, width, values, outputs, gather, scatter;
  bool repeat, bf16;
  Storage storage, result;
  double bound;
  const void *x, *weight, *bias, *scale, *residual;
  void* y;
};

}  // namespace dispr
