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

}  // namespace dispr
