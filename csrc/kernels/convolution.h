// Convolution with a kernel of 3 x 3 x 3, stride 1 and a border of zeros: what a caller hands over. Raw pointers, no torch.
#pragma once

#include "group_norm.h"

namespace dispr {

// x, residual and y: `samples` x `depth` x `height` x `width` x channels, dense, the channels of a voxel side by side.
// weight[k, c, tap] lies at k · out_stride + c · in_stride + tap · tap_stride. Parameters are float, or double where the
// storage is float64; absent tensors are null.
struct ConvolutionForward {
  int64_t samples, in_channels, out_channels, depth, height, width;
  Storage storage;
  const void* x;
  const void* weight;
  int64_t out_stride, in_stride, tap_stride;
  const void *bias, *residual;
  void* y;
};

// The same in bfloat16, with weights packed before; bias is float. All tensors have their channels side by side. With a
// norm, x is first normalised, modulated and activated as it says; its x is ours, and y, mean and rstd are null.
struct Bf16Convolution {
  int64_t samples, in_channels, out_channels, depth, height, width;
  const void *x, *panels, *bias, *residual;
  void* y;
  const GroupNormForward* norm;
};

// float weights to be packed, as described above, into bfloat16 `panels`: outputs and inputs filled up to multiples of 32.
struct ConvolutionWeights {
  int64_t in_channels, out_channels;
  const void* weight;
  int64_t out_stride, in_stride, tap_stride;
  void* panels;

  int64_t elements() const { return (out_channels + 31) / 32 * 32 * 27 * ((in_channels + 31) / 32 * 32); }
};

}  // namespace dispr
