// Projection of patches with factors of bfloat16, where the processor multiplies it; the rest is that of patches_cpu.h.
#pragma once

#include "bf16_products_cpu.h"
#include "patches_cpu.h"

#ifdef DISPR_HAS_BF16_PRODUCTS

namespace dispr {
namespace DISPR_ISA {
namespace {

constexpr int64_t kBf16Patches = 64;  // tokens of one task

template <class S, class To>
void patch_projection_bf16(const PatchProjection& a, const Parallel& parallel) {
  const int64_t tokens = a.samples * a.depth * a.height * a.width;
  const int64_t columns = round_up(a.outputs, kSide), depth = round_up(a.values, kDepthStep);
  const PatchGrid from = PatchGrid::of(a, a.gather), to = PatchGrid::of(a, a.scatter);
  const Buffer<Bfloat16> panels(columns * depth);
  pack_panels(static_cast<const float*>(a.weight), a.outputs, a.values, columns / kPanelColumns, depth, panels + 0);
  parallel_for(parallel, ceil_div(tokens, kBf16Patches), kBf16Patches * (a.values + a.outputs), [&](int64_t task) {
    const int64_t first = task * kBf16Patches, count = smaller(kBf16Patches, tokens - first);
    const int64_t rows = round_up(count, kSide);
    const Buffer<Bfloat16> patches(rows * depth);
    const Buffer<float> sums(rows * columns);
    if (count < rows || a.values < depth)
      for (int64_t i = 0; i < rows * depth; ++i) patches[i] = Bfloat16{};
    gather_tokens<FloatVector, S>(a, from, first, count, patches + 0, depth);
    const Tiles tiles;
    for (int64_t column = 0; column < columns; column += kSide)
      for (int64_t row = 0; row < rows; row += kSide)
        multiply_block(patches + row * depth, depth, panels + column * depth, kPanelColumns * depth, depth,
                       sums + (row * columns + column), columns, false);
    for (int64_t i = 0; i < count; ++i) finish_sums<FloatVector>(a, first + i, sums + i * columns);
    scatter_tokens<FloatVector, To>(a, to, first, count, sums + 0, columns);
  });
}

}  // namespace
}  // namespace DISPR_ISA
}  // namespace dispr

#endif
