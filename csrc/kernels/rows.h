// A linear map of a few rows: what a caller hands over. Raw pointers, no torch.
#pragma once

#include "group_norm.h"

namespace dispr {

// y[n, k] = bias[k] + Σ x[n, i] weight[k, i], all dense; float, or double where the storage is float64.
struct LinearRows {
  int64_t rows, inputs, outputs;
  Storage storage;
  const void *x, *weight, *bias;
  void* y;
};

}  // namespace dispr
