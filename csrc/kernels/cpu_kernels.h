// The table of kernels of one instruction set: a source defines DISPR_ISA and DISPR_LANES, includes this, and is
// compiled with that instruction set's flags.
#pragma once

#include "attention_bf16_cpu.h"
#include "attention_cpu.h"
#include "convolution_bf16_cpu.h"
#include "convolution_cpu.h"
#include "cpu.h"
#include "group_norm_cpu.h"
#include "group_norm_cpu_backward.h"
#include "noise_cpu.h"
#include "patches_bf16_cpu.h"
#include "rows_cpu.h"

#define DISPR_TEXT(name) #name
#define DISPR_NAME(name) DISPR_TEXT(name)

namespace dispr {
namespace DISPR_ISA {
namespace {

#define DISPR_RUN_AS(kernel)                                                     \
  switch (args.storage) {                                                        \
    case Storage::float32: return kernel<FloatVector, float>(args, parallel);    \
    case Storage::bfloat16: return kernel<FloatVector, Bfloat16>(args, parallel); \
    case Storage::float64: return kernel<double, double>(args, parallel);        \
    case Storage::float16: break; /* the binding hands it over as float32 */     \
  }

void group_norm_forward(const GroupNormForward& args, const Parallel& parallel) {
  DISPR_RUN_AS(group_norm_forward_as)
}
void group_norm_backward(const GroupNormBackward& args, const Parallel& parallel) {
  DISPR_RUN_AS(group_norm_backward_as)
}
void attention_forward(const AttentionForward& args, const Parallel& parallel) {
#ifdef DISPR_HAS_BF16_PRODUCTS
  if (args.storage == Storage::bfloat16) return attention_forward_bf16(args, parallel);
#endif
  DISPR_RUN_AS(attention_forward_as)
}
void convolution_forward(const ConvolutionForward& args, const Parallel& parallel) {
  DISPR_RUN_AS(convolution_forward_as)
}
template <class V, class S, class To>
void patch_projection_from_to(const PatchProjection& args, const Parallel& parallel) {
#ifdef DISPR_HAS_BF16_PRODUCTS
  if constexpr (!std::is_same_v<V, double>)
    if (args.bf16) return patch_projection_bf16<S, To>(args, parallel);
#endif
  patch_projection_as<V, S, To>(args, parallel);
}

void patch_projection(const PatchProjection& args, const Parallel& parallel) {
  if (args.storage == Storage::float64) return patch_projection_from_to<double, double, double>(args, parallel);
  const bool from_bf16 = args.storage == Storage::bfloat16, to_bf16 = args.result == Storage::bfloat16;
  const auto run = from_bf16 ? (to_bf16 ? patch_projection_from_to<FloatVector, Bfloat16, Bfloat16>
                                          : patch_projection_from_to<FloatVector, Bfloat16, float>)
                              : (to_bf16 ? patch_projection_from_to<FloatVector, float, Bfloat16>
                                          : patch_projection_from_to<FloatVector, float, float>);
  run(args, parallel);
}

void linear_rows(const LinearRows& args, const Parallel& parallel) {
  return args.storage == Storage::float64 ? linear_rows_as<double>(args, parallel)
                                          : linear_rows_as<FloatVector>(args, parallel);
}

}  // namespace

extern const CpuKernels kernels;
const CpuKernels kernels{DISPR_NAME(DISPR_ISA), group_norm_forward, group_norm_backward, attention_forward,
                         convolution_forward, patch_projection, linear_rows, normal_noise,
#ifdef DISPR_HAS_BF16_PRODUCTS
                         pack_convolution, convolution_bf16};
#else
                         nullptr, nullptr};
#endif

}  // namespace DISPR_ISA
}  // namespace dispr
