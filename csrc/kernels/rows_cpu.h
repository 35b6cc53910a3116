// A linear map of a few rows on the CPU: the text compiled once per instruction set. Every sum is taken in the same order,
// whatever stands beside it and however many threads there are.
#pragma once

#include "rows.h"
#include "simd.h"

namespace dispr {
namespace DISPR_ISA {
namespace {

constexpr int64_t kOutputsAtOnce = 16;  // of one task
constexpr int kRowsAtOnce = 4;

// Writes `here` sums, those of as many rows with the same weights.
template <class V>
inline void dot_rows(const LinearRows& a, int64_t row, int here, int64_t output) {
  using T = ScalarOf<V>;
  const T *x = static_cast<const T*>(a.x) + row * a.inputs, *weight = static_cast<const T*>(a.weight) + output * a.inputs;
  V sums[kRowsAtOnce] = {};
  for_each_vector<V>(a.inputs, [&](int64_t i, auto width) {
    const V w = load<V>(weight + i, width);
    for (int r = 0; r < here; ++r) sums[r] += w * load<V>(x + r * a.inputs + i, width);
  });
  for (int r = 0; r < here; ++r)
    static_cast<T*>(a.y)[(row + r) * a.outputs + output] =
        T(sum_of_lanes(sums[r])) + (a.bias ? static_cast<const T*>(a.bias)[output] : T(0));
}

template <class V>
void linear_rows_as(const LinearRows& a, const Parallel& parallel) {
  parallel_for(parallel, ceil_div(a.outputs, kOutputsAtOnce), kOutputsAtOnce * a.inputs * a.rows, [&](int64_t task) {
    const int64_t last = smaller(a.outputs, (task + 1) * kOutputsAtOnce);
    for (int64_t output = task * kOutputsAtOnce; output < last; ++output)
      for (int64_t row = 0; row < a.rows; row += kRowsAtOnce)
        dot_rows<V>(a, row, int(smaller(kRowsAtOnce, a.rows - row)), output);
  });
}

}  // namespace
}  // namespace DISPR_ISA
}  // namespace dispr
