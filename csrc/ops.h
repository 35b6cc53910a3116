// The operators as PyTorch calls them, written once for all devices: read the arguments, allocate the results, run.
//
// A Device says what its kernels ask for (`reads_float16`) and runs them: run(x, arguments).
#pragma once

#include "kernels/attention.h"
#include "kernels/convolution.h"
#include "kernels/group_norm.h"
#include "kernels/noise.h"
#include "kernels/patches.h"
#include "kernels/rows.h"
#include "tensors.h"

namespace dispr {

// group_norm_silu(x, num_groups, weight, bias, eps, scale?, shift?, residual?) -> (y, mean, rstd)
template <class Device>
void group_norm_silu(StableIValue* stack, uint64_t, uint64_t) {
  const Input in(tensor_from(stack[0]), {false, Device::reads_float16});
  const int64_t groups = int_from(stack[1]);
  const Tensor weight = in.parameter(tensor_from(stack[2])), bias = in.parameter(tensor_from(stack[3]));
  const double eps = float_from(stack[4]);
  const Tensor scale = in.parameter(optional_tensor_from(stack[5]));
  const Tensor shift = in.parameter(optional_tensor_from(stack[6]));
  const Tensor residual = in.like_x(optional_tensor_from(stack[7]));
  const Sizes per_group{in.sizes[0], groups};
  Tensor y = in.new_like_x(), mean = in.new_parameter(per_group), rstd = in.new_parameter(per_group);
  Device::run(in.x, GroupNormForward{in.shape(groups), in.storage, eps, in.x.data(), weight.data(), bias.data(),
                                     scale.data(), shift.data(), residual.data(), y.data(), mean.data(),
                                     rstd.data()});
  stack[0] = in.result(std::move(y));
  stack[1] = word_from(std::move(mean));
  stack[2] = word_from(std::move(rstd));
}

// group_norm_silu_backward(grad, x, mean, rstd, num_groups, weight, bias, scale?, shift?)
//   -> (grad_x, grad_weight, grad_bias, grad_scale, grad_shift)
template <class Device>
void group_norm_silu_backward(StableIValue* stack, uint64_t, uint64_t) {
  Tensor any_grad = tensor_from(stack[0]);
  const Input in(tensor_from(stack[1]), {false, Device::reads_float16});
  const Tensor grad = in.like_x(std::move(any_grad));
  const Tensor mean = in.parameter(tensor_from(stack[2])), rstd = in.parameter(tensor_from(stack[3]));
  const GroupNormShape shape = in.shape(int_from(stack[4]));
  const Tensor weight = in.parameter(tensor_from(stack[5])), bias = in.parameter(tensor_from(stack[6]));
  const Tensor scale = in.parameter(optional_tensor_from(stack[7]));
  const Tensor shift = in.parameter(optional_tensor_from(stack[8]));
  const Sizes per_channel{shape.channels}, per_sample{shape.samples, shape.channels};
  Tensor grad_x = in.new_like_x();
  Tensor grad_weight = in.new_parameter(per_channel), grad_bias = in.new_parameter(per_channel);
  Tensor grad_scale = in.new_parameter(per_sample), grad_shift = in.new_parameter(per_sample);
  Device::run(in.x, GroupNormBackward{shape, in.storage, grad.data(), in.x.data(), mean.data(), rstd.data(),
                                      weight.data(), bias.data(), scale.data(), shift.data(), grad_x.data(),
                                      grad_weight.data(), grad_bias.data(), grad_scale.data(), grad_shift.data()});
  stack[0] = in.result(std::move(grad_x));
  stack[1] = word_from(std::move(grad_weight));
  stack[2] = word_from(std::move(grad_bias));
  stack[3] = word_from(std::move(grad_scale));
  stack[4] = word_from(std::move(grad_shift));
}

// attention_3d(x, heads, groups, norm_weight, norm_bias, qkv_weight, qkv_bias, proj_weight, proj_bias, eps) -> y
template <class Device>
void attention_3d(StableIValue* stack, uint64_t, uint64_t) {
  const Input in(tensor_from(stack[0]), {true, Device::reads_float16});
  const GroupNormShape shape = in.shape(int_from(stack[2]));
  const Tensor norm_weight = in.parameter(tensor_from(stack[3])), norm_bias = in.parameter(tensor_from(stack[4]));
  const Tensor qkv_weight = in.parameter(tensor_from(stack[5])), qkv_bias = in.parameter(tensor_from(stack[6]));
  const Tensor proj_weight = in.parameter(tensor_from(stack[7])), proj_bias = in.parameter(tensor_from(stack[8]));
  Tensor y = in.new_like_x();
  Device::run(in.x, AttentionForward{shape.samples, shape.channels, shape.voxels, shape.groups, int_from(stack[1]),
                                     in.storage, float_from(stack[9]), in.x.data(), norm_weight.data(),
                                     norm_bias.data(), qkv_weight.data(), qkv_bias.data(), proj_weight.data(),
                                     proj_bias.data(), y.data()});
  stack[0] = in.result(std::move(y));
}

// Weights are read where they lie if the taps of a pair of channels are evenly spaced, as in both layouts of torch.
inline Tensor evenly_spaced(const Input& in, Tensor&& weight) {
  const Sizes strides = weight.strides();
  const bool even = strides[3] == 3 * strides[4] && strides[2] == 9 * strides[4];
  return even && weight.dtype() == in.parameter_dtype ? std::move(weight) : in.parameter(std::move(weight));
}

// convolution_3d(x, weight, bias?, residual?) -> y
template <class Device>
void convolution_3d(StableIValue* stack, uint64_t, uint64_t) {
  const Input in(tensor_from(stack[0]), {true, Device::reads_float16});
  const Tensor weight = evenly_spaced(in, tensor_from(stack[1]));
  const Tensor bias = in.parameter(optional_tensor_from(stack[2]));
  const Tensor residual = in.like_x(optional_tensor_from(stack[3]));
  const Sizes& x = in.sizes;
  const Sizes strides = weight.strides(), sizes{x[0], weight.sizes()[0], x[2], x[3], x[4]};
  Tensor y = empty_strided(sizes, dense_strides(sizes, true), in.dtype, in.x);
  Device::run(in.x, ConvolutionForward{x[0], x[1], sizes[1], x[2], x[3], x[4], in.storage, in.x.data(), weight.data(),
                                       strides[0], strides[1], strides[4], bias.data(), residual.data(), y.data()});
  stack[0] = in.result(std::move(y));
}

// linear_rows(x, weight, bias?) -> y, float32 or float64
template <class Device>
void linear_rows(StableIValue* stack, uint64_t, uint64_t) {
  const Input in(tensor_from(stack[0]), {false, false});
  if (in.dtype != in.parameter_dtype) throw std::runtime_error("dispr kernels: rows must be float32 or float64");
  const Tensor weight = in.parameter(tensor_from(stack[1])), bias = in.parameter(optional_tensor_from(stack[2]));
  const Sizes sizes{in.sizes[0], weight.sizes()[0]};
  Tensor y = in.new_parameter(sizes);
  Device::run(in.x, LinearRows{sizes[0], in.sizes[1], sizes[1], in.storage, in.x.data(), weight.data(), bias.data(),
                               y.data()});
  stack[0] = word_from(std::move(y));
}

// normal_noise(streams, count) -> y, float32
template <class Device>
void normal_noise(StableIValue* stack, uint64_t, uint64_t) {
  Tensor given = tensor_from(stack[0]);
  const int32_t dtype = given.dtype();
  const Tensor streams = laid_out(std::move(given), false, dtype);
  const Sizes sizes{streams.sizes()[0], int_from(stack[1])};
  Tensor y = empty_strided(sizes, dense_strides(sizes, false), aoti_torch_dtype_float32(), streams);
  Device::run(streams, NormalNoise{sizes[0], sizes[1], static_cast<const int64_t*>(streams.data()),
                                   static_cast<float*>(y.data())});
  stack[0] = word_from(std::move(y));
}

// pack_convolution(weight) -> panels
template <class Device>
void pack_convolution(StableIValue* stack, uint64_t, uint64_t) {
  const Input in(tensor_from(stack[0]), {false, false});
  if (in.storage != Storage::float32) throw std::runtime_error("dispr kernels: weights to be packed must be float32");
  const Sizes strides = in.x.strides();
  ConvolutionWeights args{in.sizes[1], in.sizes[0], in.x.data(), strides[0], strides[1], strides[4], nullptr};
  Tensor panels = empty_strided({args.elements()}, {1}, aoti_torch_dtype_bfloat16(), in.x);
  args.panels = panels.data();
  Device::run(in.x, args);
  stack[0] = word_from(std::move(panels));
}

// A convolution in bfloat16 of x, with weights packed before, after a norm if there is one.
template <class Device>
Tensor convolved(const Input& in, const Tensor& panels, const Tensor& bias, const Tensor& residual, int64_t outputs,
                 const GroupNormForward* norm) {
  const Sizes &x = in.sizes, sizes{x[0], outputs, x[2], x[3], x[4]};
  const ConvolutionWeights weights{x[1], outputs, nullptr, 0, 0, 0, nullptr};
  if (in.storage != Storage::bfloat16 || panels.dtype() != in.dtype || product(panels.sizes()) != weights.elements())
    throw std::runtime_error("dispr kernels: x and the packed weights do not fit each other");
  Tensor y = empty_strided(sizes, dense_strides(sizes, true), in.dtype, in.x);
  Device::run(in.x, BriefConvolution{x[0], x[1], outputs, x[2], x[3], x[4], in.x.data(), panels.data(), bias.data(),
                                     residual.data(), y.data(), norm});
  return y;
}

// convolve_packed(x, panels, bias?, residual?, outputs) -> y, all bfloat16 and bias float
template <class Device>
void convolve_packed(StableIValue* stack, uint64_t, uint64_t) {
  const Input in(tensor_from(stack[0]), {true, false});
  const Tensor panels = tensor_from(stack[1]), bias = in.parameter(optional_tensor_from(stack[2]));
  const Tensor residual = in.like_x(optional_tensor_from(stack[3]));
  stack[0] = in.result(convolved<Device>(in, panels, bias, residual, int_from(stack[4]), nullptr));
}

// norm_convolve_packed(x, groups, norm_weight, norm_bias, eps, scale?, shift?, panels, bias?, residual?, outputs) -> y
template <class Device>
void norm_convolve_packed(StableIValue* stack, uint64_t, uint64_t) {
  const Input in(tensor_from(stack[0]), {true, false});
  const Tensor norm_weight = in.parameter(tensor_from(stack[2])), norm_bias = in.parameter(tensor_from(stack[3]));
  const Tensor scale = in.parameter(optional_tensor_from(stack[5]));
  const Tensor shift = in.parameter(optional_tensor_from(stack[6]));
  const Tensor panels = tensor_from(stack[7]), bias = in.parameter(optional_tensor_from(stack[8]));
  const Tensor residual = in.like_x(optional_tensor_from(stack[9]));
  const GroupNormForward norm{in.shape(int_from(stack[1])), in.storage, float_from(stack[4]), in.x.data(),
                              norm_weight.data(), norm_bias.data(), scale.data(), shift.data(), nullptr, nullptr,
                              nullptr, nullptr};
  stack[0] = in.result(convolved<Device>(in, panels, bias, residual, int_from(stack[10]), &norm));
}

// patch_projection(x, weight, bias?, gather, scatter, repeat, scale?, residual?, bound, brief, wide) -> y, always
// channels-last
template <class Device>
void patch_projection(StableIValue* stack, uint64_t, uint64_t) {
  const Input in(tensor_from(stack[0]), {true, Device::reads_float16});
  const Tensor weight = in.parameter(tensor_from(stack[1])), bias = in.parameter(optional_tensor_from(stack[2]));
  const int64_t gather = int_from(stack[3]), scatter = int_from(stack[4]), repeat = int_from(stack[5]) & 1;
  const Tensor scale = in.parameter(optional_tensor_from(stack[6]));
  const bool brief = (int_from(stack[9]) & 1) && in.storage != Storage::float64, wide = int_from(stack[10]) & 1;
  const int32_t given = in.storage == Storage::float64 ? in.dtype
                        : wide                         ? aoti_torch_dtype_float32()
                        : brief                        ? aoti_torch_dtype_bfloat16()
                                                       : in.given_dtype;
  const int32_t dtype = given == aoti_torch_dtype_float16() && !Device::reads_float16 ? in.dtype : given;
  const Tensor residual = laid_out(optional_tensor_from(stack[7]), true, dtype);
  const Sizes& x = in.sizes;
  const int64_t outputs = weight.sizes()[0], depth = x[2] / gather, height = x[3] / gather, width = x[4] / gather;
  const int64_t channels = repeat ? outputs : outputs / (scatter * scatter * scatter);
  const Sizes sizes{x[0], channels, depth * scatter, height * scatter, width * scatter};
  Tensor y = empty_strided(sizes, dense_strides(sizes, true), dtype, in.x);
  Device::run(in.x, PatchProjection{x[0], depth, height, width, weight.sizes()[1], outputs, gather, scatter, repeat != 0,
                                    brief, in.storage, storage_of(dtype), float_from(stack[8]), in.x.data(),
                                    weight.data(), bias.data(), scale.data(), residual.data(), y.data()});
  stack[0] = word_from(laid_out(std::move(y), true, given));
}

}  // namespace dispr
