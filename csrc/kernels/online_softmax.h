// A softmax over scores that arrive in pieces (Milakov & Gimelshein 2018): the largest score so far, and the sum of
// exponentials relative to it. For CPU and CUDA alike.
#pragma once

#include <cmath>

#include "host_device.h"

namespace dispr {

template <class T>
struct SoftmaxState {
  T max, sum;
};

template <class T>
DISPR_HOST_DEVICE inline SoftmaxState<T> no_scores() {
  return {-static_cast<T>(HUGE_VAL), 0};
}

// The factor that turns a sum relative to `from` into one relative to `to`; 1 where no score has come yet. Scores may
// be exponents of another base than e, whose natural logarithm is given.
template <class T>
DISPR_HOST_DEVICE inline T rescaling(T from, T to, T log_base = 1) {
  return from == to ? T(1) : T(exp((from - to) * log_base));
}

// Takes in a piece whose largest score and whose sum relative to `max` are known.
template <class T>
DISPR_HOST_DEVICE inline SoftmaxState<T> merge(SoftmaxState<T> a, SoftmaxState<T> b) {
  const T max = a.max < b.max ? b.max : a.max;
  return {max, a.sum * rescaling(a.max, max) + b.sum * rescaling(b.max, max)};
}

}  // namespace dispr
