// Normal noise from counters: what a caller hands over. Raw pointers, no torch.
#pragma once

#include <cstdint>

#include "parallel.h"

namespace dispr {

// y: `samples` rows of `count` normal numbers. Of each row `streams` has three words: the key's two, and the number of
// the first block of random bits.
struct NormalNoise {
  int64_t samples, count;
  const int64_t* streams;
  float* y;
};

}  // namespace dispr
