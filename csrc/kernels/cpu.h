// The CPU kernels, compiled once per instruction set and chosen when the program runs.
#pragma once

#include "attention.h"
#include "convolution.h"
#include "group_norm.h"
#include "noise.h"
#include "patches.h"
#include "rows.h"

namespace dispr {

struct CpuKernels {
  const char* instruction_set;
  void (*group_norm_forward)(const GroupNormForward&, const Parallel&);
  void (*group_norm_backward)(const GroupNormBackward&, const Parallel&);
  void (*attention_forward)(const AttentionForward&, const Parallel&);
  void (*convolution_forward)(const ConvolutionForward&, const Parallel&);
  void (*patch_projection)(const PatchProjection&, const Parallel&);
  void (*linear_rows)(const LinearRows&, const Parallel&);
  void (*normal_noise)(const NormalNoise&, const Parallel&);
  // Null where PyTorch's own convolution in bfloat16 is the better one.
  void (*pack_convolution)(const ConvolutionWeights&, const Parallel&);
  void (*convolution_bf16)(const Bf16Convolution&, const Parallel&);
};

// The best table this processor can run, or the one chosen by choose_cpu_kernels.
const CpuKernels& cpu_kernels();

// Chooses by name ("amx", "avx2", "generic" ...; "" for the best one); false if this processor or build has none such.
bool choose_cpu_kernels(const char* instruction_set);

}  // namespace dispr
