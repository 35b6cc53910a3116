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

constexpr size_t kAnyAxes = 64;  // as many as torch has
constexpr int64_t kMostSide = 1024;  // of a patch: its cube, times channels, is no overflow

// group_norm_silu(x, num_groups, weight, bias, eps, scale?, shift?, residual?) -> (y, mean, rstd)
template <class Device>
void group_norm_silu(StableIValue* stack, uint64_t, uint64_t) {
  Tensor x = tensor_from(stack[0]), weights = tensor_from(stack[2]), biases = tensor_from(stack[3]);
  Tensor scales = optional_tensor_from(stack[5]), shifts = optional_tensor_from(stack[6]);
  Tensor added = optional_tensor_from(stack[7]);
  const double eps = float_from(stack[4]);
  const Input in("group_norm_silu", std::move(x), {false, Device::reads_float16, 2, kAnyAxes});
  const GroupNormShape shape = in.shape(int_from(stack[1]));
  const Sizes per_channel{shape.channels}, per_sample{shape.samples, shape.channels};
  const Sizes per_group{shape.samples, shape.groups};
  const Tensor weight = in.parameter(std::move(weights), per_channel, "weight");
  const Tensor bias = in.parameter(std::move(biases), per_channel, "bias");
  const Tensor scale = in.parameter(std::move(scales), per_sample, "scale");
  const Tensor shift = in.parameter(std::move(shifts), per_sample, "shift");
  const Tensor residual = in.like_x(std::move(added), "residual");
  Tensor y = in.new_like_x(), mean = in.new_parameter(per_group), rstd = in.new_parameter(per_group);
  Device::run(in.x, GroupNormForward{shape, in.storage, eps, in.x.data(), weight.data(), bias.data(), scale.data(),
                                     shift.data(), residual.data(), y.data(), mean.data(), rstd.data()});
  stack[0] = in.result(std::move(y));
  stack[1] = word_from(std::move(mean));
  stack[2] = word_from(std::move(rstd));
}

// group_norm_silu_backward(grad, x, mean, rstd, num_groups, weight, bias, scale?, shift?)
//   -> (grad_x, grad_weight, grad_bias, grad_scale, grad_shift)
template <class Device>
void group_norm_silu_backward(StableIValue* stack, uint64_t, uint64_t) {
  Tensor grads = tensor_from(stack[0]), x = tensor_from(stack[1]), means = tensor_from(stack[2]);
  Tensor rstds = tensor_from(stack[3]), weights = tensor_from(stack[5]), biases = tensor_from(stack[6]);
  Tensor scales = optional_tensor_from(stack[7]), shifts = optional_tensor_from(stack[8]);
  const Input in("group_norm_silu_backward", std::move(x), {false, Device::reads_float16, 2, kAnyAxes});
  const GroupNormShape shape = in.shape(int_from(stack[4]));
  const Sizes per_channel{shape.channels}, per_sample{shape.samples, shape.channels};
  const Sizes per_group{shape.samples, shape.groups};
  const Tensor grad = in.like_x(std::move(grads), "grad");
  const Tensor mean = in.parameter(std::move(means), per_group, "mean");
  const Tensor rstd = in.parameter(std::move(rstds), per_group, "rstd");
  const Tensor weight = in.parameter(std::move(weights), per_channel, "weight");
  const Tensor bias = in.parameter(std::move(biases), per_channel, "bias");
  const Tensor scale = in.parameter(std::move(scales), per_sample, "scale");
  const Tensor shift = in.parameter(std::move(shifts), per_sample, "shift");
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
  Tensor x = tensor_from(stack[0]), norm_weights = tensor_from(stack[3]), norm_biases = tensor_from(stack[4]);
  Tensor qkv_weights = tensor_from(stack[5]), qkv_biases = tensor_from(stack[6]);
  Tensor proj_weights = tensor_from(stack[7]), proj_biases = tensor_from(stack[8]);
  const int64_t heads = int_from(stack[1]);
  const Input in("attention_3d", std::move(x), {true, Device::reads_float16, 5, 5});
  const GroupNormShape shape = in.shape(int_from(stack[2]));
  const int64_t C = shape.channels;
  if (heads < 1 || C % heads != 0)
    refuse(in.argument("num_heads"), "is " + std::to_string(heads) + ", which does not divide " + std::to_string(C) +
                                         " channels");
  const Tensor norm_weight = in.parameter(std::move(norm_weights), {C}, "norm_weight");
  const Tensor norm_bias = in.parameter(std::move(norm_biases), {C}, "norm_bias");
  const Tensor qkv_weight = in.parameter(std::move(qkv_weights), {3 * C, C}, "qkv_weight");
  const Tensor qkv_bias = in.parameter(std::move(qkv_biases), {3 * C}, "qkv_bias");
  const Tensor proj_weight = in.parameter(std::move(proj_weights), {C, C}, "proj_weight");
  const Tensor proj_bias = in.parameter(std::move(proj_biases), {C}, "proj_bias");
  Tensor y = in.new_like_x();
  Device::run(in.x, AttentionForward{shape.samples, C, shape.voxels, shape.groups, heads, in.storage,
                                     float_from(stack[9]), in.x.data(), norm_weight.data(), norm_bias.data(),
                                     qkv_weight.data(), qkv_bias.data(), proj_weight.data(), proj_bias.data(),
                                     y.data()});
  stack[0] = in.result(std::move(y));
}

// Outputs of a weight (K, inputs, 3, 3, 3): its first axis, whatever the others are.
inline int64_t outputs_of(const Input& in, const Tensor& weight) {
  const Sizes sizes = weight.sizes();
  return sizes.empty() ? (refuse(in.argument("weight"), "has no axes"), 0) : sizes[0];
}

// Weights are read where they lie if the taps of a pair of channels are evenly spaced, as in both layouts of torch.
inline Tensor evenly_spaced(const Input& in, Tensor&& weight, const Sizes& shape) {
  in.check(weight, shape, "weight");
  const Sizes strides = weight.strides();
  const bool even = strides[3] == 3 * strides[4] && strides[2] == 9 * strides[4];
  return even && weight.dtype() == in.parameter_dtype ? std::move(weight)
                                                      : in.parameter(std::move(weight), shape, "weight");
}

// convolution_3d(x, weight, bias?, residual?) -> y
template <class Device>
void convolution_3d(StableIValue* stack, uint64_t, uint64_t) {
  Tensor any_x = tensor_from(stack[0]), weights = tensor_from(stack[1]);
  Tensor biases = optional_tensor_from(stack[2]), added = optional_tensor_from(stack[3]);
  const Input in("convolution_3d", std::move(any_x), {true, Device::reads_float16, 5, 5});
  const Sizes& x = in.sizes;
  const int64_t outputs = outputs_of(in, weights);
  const Sizes sizes{x[0], outputs, x[2], x[3], x[4]};
  const Tensor weight = evenly_spaced(in, std::move(weights), {outputs, x[1], 3, 3, 3});
  const Tensor bias = in.parameter(std::move(biases), {outputs}, "bias");
  const Tensor residual = in.volume(std::move(added), sizes, in.dtype, "residual");
  const Sizes strides = weight.strides();
  Tensor y = empty_strided(sizes, dense_strides(sizes, true), in.dtype, in.x);
  Device::run(in.x, ConvolutionForward{x[0], x[1], outputs, x[2], x[3], x[4], in.storage, in.x.data(), weight.data(),
                                       strides[0], strides[1], strides[4], bias.data(), residual.data(), y.data()});
  stack[0] = in.result(std::move(y));
}

// linear_rows(x, weight, bias?) -> y, float32 or float64
template <class Device>
void linear_rows(StableIValue* stack, uint64_t, uint64_t) {
  Tensor x = tensor_from(stack[0]), weights = tensor_from(stack[1]), biases = optional_tensor_from(stack[2]);
  const Input in("linear_rows", std::move(x), {false, false, 2, 2});
  if (in.dtype != in.parameter_dtype || in.dtype != in.given_dtype)
    refuse(in.argument("x"), "is of another type than float32 or float64");
  const int64_t outputs = outputs_of(in, weights);
  const Tensor weight = in.parameter(std::move(weights), {outputs, in.sizes[1]}, "weight");
  const Tensor bias = in.parameter(std::move(biases), {outputs}, "bias");
  Tensor y = in.new_parameter({in.sizes[0], outputs});
  Device::run(in.x, LinearRows{in.sizes[0], in.sizes[1], outputs, in.storage, in.x.data(), weight.data(), bias.data(),
                               y.data()});
  stack[0] = word_from(std::move(y));
}

// normal_noise(streams, count) -> y, float32
template <class Device>
void normal_noise(StableIValue* stack, uint64_t, uint64_t) {
  Tensor given = tensor_from(stack[0]);
  const int64_t count = int_from(stack[1]), rows = given.sizes().empty() ? 0 : given.sizes()[0];
  const Argument of{"normal_noise", "streams"};
  if (given.dtype() != aoti_torch_dtype_int64()) refuse(of, "is of another type than int64");
  check_shape(given, {rows, 3}, of);
  check_range(count, 0, INT64_MAX, {"normal_noise", "count"});
  const Tensor streams = laid_out(std::move(given), false, aoti_torch_dtype_int64());
  const Sizes sizes{rows, count};
  Tensor y = empty_strided(sizes, dense_strides(sizes, false), aoti_torch_dtype_float32(), streams);
  Device::run(streams, NormalNoise{sizes[0], sizes[1], static_cast<const int64_t*>(streams.data()),
                                   static_cast<float*>(y.data())});
  stack[0] = word_from(std::move(y));
}

// pack_convolution(weight) -> panels
template <class Device>
void pack_convolution(StableIValue* stack, uint64_t, uint64_t) {
  const Input in("pack_convolution", tensor_from(stack[0]), {false, false, 5, 5}, "weight");
  const Argument of = in.argument("weight");
  check_shape(in.x, {in.sizes[0], in.sizes[1], 3, 3, 3}, of);
  if (in.storage != Storage::float32) refuse(of, "is of another type than float32");
  const Sizes strides = in.x.strides();
  ConvolutionWeights args{in.sizes[1], in.sizes[0], in.x.data(), strides[0], strides[1], strides[4], nullptr};
  Tensor panels = empty_strided({args.elements()}, {1}, aoti_torch_dtype_bfloat16(), in.x);
  args.panels = panels.data();
  Device::run(in.x, args);
  stack[0] = word_from(std::move(panels));
}

// What the two operators below have in common: weights packed before, a bias, a residual, and how many outputs.
struct Packed {
  Tensor panels, bias, residual;
  int64_t outputs;
};

// A convolution in bfloat16 of x, after a norm if there is one.
template <class Device>
Tensor convolved(const Input& in, Packed&& packed, const GroupNormForward* norm) {
  if (in.storage != Storage::bfloat16) refuse(in.argument("x"), "is of another type than bfloat16");
  check_range(packed.outputs, 1, INT32_MAX, in.argument("outputs"));
  const Sizes &x = in.sizes, sizes{x[0], packed.outputs, x[2], x[3], x[4]};
  const ConvolutionWeights weights{x[1], packed.outputs, nullptr, 0, 0, 0, nullptr};
  in.check(packed.panels, {weights.elements()}, "panels");
  if (packed.panels.dtype() != in.dtype) refuse(in.argument("panels"), "is of another type than bfloat16");
  const Tensor panels = laid_out(std::move(packed.panels), false, in.dtype);
  const Tensor bias = in.parameter(std::move(packed.bias), {packed.outputs}, "bias");
  const Tensor residual = in.volume(std::move(packed.residual), sizes, in.dtype, "residual");
  Tensor y = empty_strided(sizes, dense_strides(sizes, true), in.dtype, in.x);
  Device::run(in.x, Bf16Convolution{x[0], x[1], packed.outputs, x[2], x[3], x[4], in.x.data(), panels.data(),
                                     bias.data(), residual.data(), y.data(), norm});
  return y;
}

// convolve_packed(x, panels, bias?, residual?, outputs) -> y, all bfloat16 and bias float
template <class Device>
void convolve_packed(StableIValue* stack, uint64_t, uint64_t) {
  Tensor x = tensor_from(stack[0]);
  Packed packed{tensor_from(stack[1]), optional_tensor_from(stack[2]), optional_tensor_from(stack[3]),
                int_from(stack[4])};
  const Input in("convolve_packed", std::move(x), {true, false, 5, 5});
  stack[0] = in.result(convolved<Device>(in, std::move(packed), nullptr));
}

// norm_convolve_packed(x, groups, norm_weight, norm_bias, eps, scale?, shift?, panels, bias?, residual?, outputs) -> y
template <class Device>
void norm_convolve_packed(StableIValue* stack, uint64_t, uint64_t) {
  Tensor x = tensor_from(stack[0]), weights = tensor_from(stack[2]), biases = tensor_from(stack[3]);
  Tensor scales = optional_tensor_from(stack[5]), shifts = optional_tensor_from(stack[6]);
  Packed packed{tensor_from(stack[7]), optional_tensor_from(stack[8]), optional_tensor_from(stack[9]),
                int_from(stack[10])};
  const Input in("norm_convolve_packed", std::move(x), {true, false, 5, 5});
  const GroupNormShape shape = in.shape(int_from(stack[1]));
  const Sizes per_channel{shape.channels}, per_sample{shape.samples, shape.channels};
  const Tensor norm_weight = in.parameter(std::move(weights), per_channel, "norm_weight");
  const Tensor norm_bias = in.parameter(std::move(biases), per_channel, "norm_bias");
  const Tensor scale = in.parameter(std::move(scales), per_sample, "scale");
  const Tensor shift = in.parameter(std::move(shifts), per_sample, "shift");
  const GroupNormForward norm{shape, in.storage, float_from(stack[4]), in.x.data(), norm_weight.data(),
                              norm_bias.data(), scale.data(), shift.data(), nullptr, nullptr, nullptr, nullptr};
  stack[0] = in.result(convolved<Device>(in, std::move(packed), &norm));
}

// patch_projection(x, weight, bias?, gather, scatter, repeat, scale?, residual?, bound, bf16, wide) -> y, always
// channels-last
template <class Device>
void patch_projection(StableIValue* stack, uint64_t, uint64_t) {
  Tensor any_x = tensor_from(stack[0]), weights = tensor_from(stack[1]), biases = optional_tensor_from(stack[2]);
  Tensor scales = optional_tensor_from(stack[6]), added = optional_tensor_from(stack[7]);
  const int64_t gather = int_from(stack[3]), scatter = int_from(stack[4]), repeat = int_from(stack[5]) & 1;
  const Input in("patch_projection", std::move(any_x), {true, Device::reads_float16, 5, 5});
  const bool bf16 = (int_from(stack[9]) & 1) && in.storage != Storage::float64, wide = int_from(stack[10]) & 1;
  const int32_t given = in.storage == Storage::float64 ? in.dtype
                        : wide                         ? aoti_torch_dtype_float32()
                        : bf16                        ? aoti_torch_dtype_bfloat16()
                                                       : in.given_dtype;
  const int32_t dtype = given == aoti_torch_dtype_float16() && !Device::reads_float16 ? in.dtype : given;
  const Sizes& x = in.sizes;
  check_range(gather, 1, kMostSide, in.argument("gather"));
  check_range(scatter, 1, kMostSide, in.argument("scatter"));
  if (x[2] % gather || x[3] % gather || x[4] % gather)
    refuse(in.argument("x"), "has shape " + text(x) + ", which patches of side " + std::to_string(gather) + " do not fill");
  const int64_t outputs = outputs_of(in, weights), share = repeat ? 1 : scatter * scatter * scatter;
  if (outputs < 1 || outputs % share)
    refuse(in.argument("weight"), "has " + std::to_string(outputs) + " rows, expected a multiple of " +
                                      std::to_string(share));
  const int64_t depth = x[2] / gather, height = x[3] / gather, width = x[4] / gather;
  const int64_t values = gather * gather * gather * x[1];
  const Tensor weight = in.parameter(std::move(weights), {outputs, values}, "weight");
  const Tensor bias = in.parameter(std::move(biases), {outputs}, "bias");
  const Tensor scale = in.parameter(std::move(scales), {x[0]}, "scale");
  const Sizes sizes{x[0], outputs / share, depth * scatter, height * scatter, width * scatter};
  const Tensor residual = in.volume(std::move(added), sizes, dtype, "residual");
  Tensor y = empty_strided(sizes, dense_strides(sizes, true), dtype, in.x);
  Device::run(in.x, PatchProjection{x[0], depth, height, width, values, outputs, gather, scatter, repeat != 0, bf16,
                                    in.storage, storage_of(dtype, in.argument("x")), float_from(stack[8]), in.x.data(),
                                    weight.data(), bias.data(), scale.data(), residual.data(), y.data()});
  stack[0] = word_from(laid_out(std::move(y), true, given));
}

}  // namespace dispr
