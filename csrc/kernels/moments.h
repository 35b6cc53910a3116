// Mean and sum of squared deviations of a set of numbers, and how two sets join. For CPU and CUDA alike.
#pragma once

#include "host_device.h"

namespace dispr {

template <class T>
struct Moments {
  T count, mean, m2;
};

// Chan, Golub & LeVeque 1979: two disjoint sets. An empty set changes nothing.
template <class T>
DISPR_HOST_DEVICE inline Moments<T> merge(Moments<T> a, Moments<T> b) {
  const T count = a.count + b.count;
  if (count == 0) return a;
  const T share = b.count / count, delta = b.mean - a.mean;
  return {count, a.mean + delta * share, a.m2 + b.m2 + delta * delta * a.count * share};
}

}  // namespace dispr
