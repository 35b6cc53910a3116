// The table of kernels of one instruction set: a source defines DISPR_ISA and DISPR_LANES, includes this, and is
// compiled with that instruction set's flags.
#pragma once

#include "cpu.h"
#include "group_norm_cpu.h"
#include "group_norm_cpu_backward.h"

#define DISPR_TEXT(name) #name
#define DISPR_NAME(name) DISPR_TEXT(name)

namespace dispr {
namespace DISPR_ISA {
namespace {

void group_norm_forward(const GroupNormForward& args, const Parallel& parallel) {
  switch (args.storage) {
    case Storage::float32: return group_norm_forward_as<FloatVector, float>(args, parallel);
    case Storage::bfloat16: return group_norm_forward_as<FloatVector, Bfloat16>(args, parallel);
    case Storage::float16: return group_norm_forward_as<FloatVector, Float16>(args, parallel);
    case Storage::float64: return group_norm_forward_as<double, double>(args, parallel);
  }
}

void group_norm_backward(const GroupNormBackward& args, const Parallel& parallel) {
  switch (args.storage) {
    case Storage::float32: return group_norm_backward_as<FloatVector, float>(args, parallel);
    case Storage::bfloat16: return group_norm_backward_as<FloatVector, Bfloat16>(args, parallel);
    case Storage::float16: return group_norm_backward_as<FloatVector, Float16>(args, parallel);
    case Storage::float64: return group_norm_backward_as<double, double>(args, parallel);
  }
}

}  // namespace

extern const CpuKernels kernels;
const CpuKernels kernels{DISPR_NAME(DISPR_ISA), group_norm_forward, group_norm_backward};

}  // namespace DISPR_ISA
}  // namespace dispr
