// A softmax over scores that arrive in pieces (Milakov & Gimelshein 2018): the largest score so far, and the sum of
// exponentials relative to it.
#pragma once

#include <cmath>

namespace dispr {

template <class T>
struct SoftmaxState {
  T max, sum;
};

template <class T>
inline SoftmaxState<T> no_scores() {
  return {-static_cast<T>(HUGE_VAL), 0};
}

// The factor that turns a sum relative to `from` into one relative to `to`; 1 where no score has come yet. Scores may
// be exponents of another base than e, whose natural logarithm is given.
template <class T>
inline T rescaling(T from, T to, T log_base = 1) {
  return from == to ? T(1) : T(exp((from - to) * log_base));
}

}  // namespace dispr
