// The self-attention block x + proj(attention(qkv(group_norm(x)))): what a caller hands over. Raw pointers, no torch.
#pragma once

#include "group_norm.h"

namespace dispr {

// x and y: `samples` x `voxels` x `channels`, dense, the channels of a voxel side by side. Parameters are float, or
// double where the storage is float64; matrices have one row per output, qkv's rows q, then k, then v, each by head.
struct AttentionForward {
  int64_t samples, channels, voxels, groups, heads;
  Storage storage;
  double eps;
  const void *x, *norm_weight, *norm_bias;
  const void *qkv_weight, *qkv_bias;        // (3C, C), (3C)
  const void *proj_weight, *proj_bias;      // (C, C), (C)
  void* y;
};

}  // namespace dispr
