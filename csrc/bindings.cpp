// Between PyTorch's dispatcher and the kernels: reads the arguments, lays tensors out as the kernels expect them,
// and allocates the results. The schemas stand in dispr_cli/diffusion/ops/library.py.
#include "kernels/cpu.h"
#include "torch_abi.h"

namespace dispr {
namespace {

void run_on_torch_threads(int64_t tasks, int64_t grain, Parallel::Body body, void* context) {
  check(torch_parallel_for(0, tasks, grain, body, context), "run a kernel's tasks");
}

constexpr Parallel torch_threads{run_on_torch_threads};

Storage storage_of(int32_t dtype) {
  if (dtype == aoti_torch_dtype_float32()) return Storage::float32;
  if (dtype == aoti_torch_dtype_bfloat16()) return Storage::bfloat16;
  if (dtype == aoti_torch_dtype_float16()) return Storage::float16;
  if (dtype == aoti_torch_dtype_float64()) return Storage::float64;
  throw std::runtime_error("dispr kernels: x must be float32, bfloat16, float16 or float64");
}

using Sizes = std::vector<int64_t>;

int64_t product(const Sizes& sizes, size_t from = 0) {
  int64_t count = 1;
  for (size_t d = from; d < sizes.size(); ++d) count *= sizes[d];
  return count;
}

// Strides of a dense tensor of these sizes, channels innermost or in the usual order.
Sizes dense_strides(const Sizes& sizes, bool channels_last) {
  Sizes strides(sizes.size());
  int64_t step = 1;
  const auto place = [&](size_t d) {
    strides[d] = step;
    step *= sizes[d] > 1 ? sizes[d] : 1;
  };
  if (channels_last) place(1);
  for (size_t d = sizes.size(); d-- > 0;)
    if (!channels_last || d != 1) place(d);
  return strides;
}

// Axes of length one may have any stride, as torch's own contiguity has it.
bool lies_as(const Sizes& sizes, const Sizes& strides, bool channels_last) {
  const Sizes dense = dense_strides(sizes, channels_last);
  for (size_t d = 0; d < sizes.size(); ++d)
    if (sizes[d] != 1 && strides[d] != dense[d]) return product(sizes) == 0;
  return true;
}

// The layout rule of dispr_cli/diffusion/ops/plain.py.
bool is_channels_last(const Tensor& x) {
  const Sizes sizes = x.sizes(), strides = x.strides();
  if (sizes.size() != 4 && sizes.size() != 5) return false;
  return !lies_as(sizes, strides, false) && lies_as(sizes, strides, true);
}

// The tensor itself if it is dense in the given order and of the given dtype, else a copy that is.
Tensor laid_out(Tensor tensor, bool channels_last, int32_t dtype) {
  if (!tensor) return tensor;
  const Sizes sizes = tensor.sizes();
  if (tensor.dtype() == dtype && lies_as(sizes, tensor.strides(), channels_last)) return tensor;
  Tensor copy = empty_strided(sizes, dense_strides(sizes, channels_last), dtype, tensor);
  check(aoti_torch_copy_(copy.get(), tensor.get(), 0), "copy a tensor");
  return copy;
}

// x as the kernels want it, and what follows from it for all other tensors. The CPU kernels compute float16 tensors
// as float32 ones; layout is x's own unless a kernel insists on channels-last.
struct Input {
  Sizes sizes;
  bool channels_last, lay_channels_last;
  int32_t given_dtype, dtype, parameter_dtype;
  Tensor x;
  Storage storage;

  explicit Input(Tensor&& from, bool insist = false)
      : sizes(from.sizes()),
        channels_last(is_channels_last(from)),
        lay_channels_last(channels_last || insist),
        given_dtype(from.dtype()),
        dtype(given_dtype == aoti_torch_dtype_float16() ? aoti_torch_dtype_float32() : given_dtype),
        parameter_dtype(dtype == aoti_torch_dtype_float64() ? dtype : aoti_torch_dtype_float32()),
        x(laid_out(std::move(from), lay_channels_last, dtype)),
        storage(storage_of(dtype)) {}

  Tensor like_x(Tensor&& tensor) const { return laid_out(std::move(tensor), lay_channels_last, dtype); }
  Tensor new_like_x() const { return empty_strided(sizes, dense_strides(sizes, lay_channels_last), dtype, x); }
  Tensor parameter(Tensor&& tensor) const { return laid_out(std::move(tensor), false, parameter_dtype); }
  Tensor new_parameter(const Sizes& shape) const {
    return empty_strided(shape, dense_strides(shape, false), parameter_dtype, x);
  }
  // What the caller receives: a result in x's own layout and dtype.
  StableIValue result(Tensor&& tensor) const {
    if (lay_channels_last != channels_last) {
      const Sizes strides = dense_strides(sizes, channels_last);
      Tensor copy = empty_strided(sizes, strides, given_dtype, x);
      check(aoti_torch_copy_(copy.get(), tensor.get(), 0), "copy a tensor");
      return word_from(std::move(copy));
    }
    return word_from(laid_out(std::move(tensor), channels_last, given_dtype));
  }
  GroupNormShape shape(int64_t groups) const {
    return {sizes[0], sizes[1], product(sizes, 2), groups, lay_channels_last};
  }
};

// group_norm_silu(x, num_groups, weight, bias, eps, scale?, shift?, residual?) -> (y, mean, rstd)
void group_norm_silu(StableIValue* stack, uint64_t, uint64_t) {
  const Input in(tensor_from(stack[0]));
  const int64_t groups = int_from(stack[1]);
  const Tensor weight = in.parameter(tensor_from(stack[2])), bias = in.parameter(tensor_from(stack[3]));
  const double eps = float_from(stack[4]);
  const Tensor scale = in.parameter(optional_tensor_from(stack[5]));
  const Tensor shift = in.parameter(optional_tensor_from(stack[6]));
  const Tensor residual = in.like_x(optional_tensor_from(stack[7]));
  const Sizes per_group{in.sizes[0], groups};
  Tensor y = in.new_like_x(), mean = in.new_parameter(per_group), rstd = in.new_parameter(per_group);
  cpu_kernels().group_norm_forward(
      {in.shape(groups), in.storage, eps, in.x.data(), weight.data(), bias.data(), scale.data(), shift.data(),
       residual.data(), y.data(), mean.data(), rstd.data()},
      torch_threads);
  stack[0] = in.result(std::move(y));
  stack[1] = word_from(std::move(mean));
  stack[2] = word_from(std::move(rstd));
}

// group_norm_silu_backward(grad, x, mean, rstd, num_groups, weight, bias, scale?, shift?)
//   -> (grad_x, grad_weight, grad_bias, grad_scale, grad_shift)
void group_norm_silu_backward(StableIValue* stack, uint64_t, uint64_t) {
  Tensor any_grad = tensor_from(stack[0]);
  const Input in(tensor_from(stack[1]));
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
  cpu_kernels().group_norm_backward(
      {shape, in.storage, grad.data(), in.x.data(), mean.data(), rstd.data(), weight.data(), bias.data(), scale.data(),
       shift.data(), grad_x.data(), grad_weight.data(), grad_bias.data(), grad_scale.data(), grad_shift.data()},
      torch_threads);
  stack[0] = in.result(std::move(grad_x));
  stack[1] = word_from(std::move(grad_weight));
  stack[2] = word_from(std::move(grad_bias));
  stack[3] = word_from(std::move(grad_scale));
  stack[4] = word_from(std::move(grad_shift));
}

// attention_3d(x, num_heads, num_groups, norm_weight, norm_bias, qkv_weight, qkv_bias, proj_weight, proj_bias, eps) -> y
void attention_3d(StableIValue* stack, uint64_t, uint64_t) {
  const Input in(tensor_from(stack[0]), true);
  const GroupNormShape shape = in.shape(int_from(stack[2]));
  const Tensor norm_weight = in.parameter(tensor_from(stack[3])), norm_bias = in.parameter(tensor_from(stack[4]));
  const Tensor qkv_weight = in.parameter(tensor_from(stack[5])), qkv_bias = in.parameter(tensor_from(stack[6]));
  const Tensor proj_weight = in.parameter(tensor_from(stack[7])), proj_bias = in.parameter(tensor_from(stack[8]));
  Tensor y = in.new_like_x();
  cpu_kernels().attention_forward(
      {shape.samples, shape.channels, shape.voxels, shape.groups, int_from(stack[1]), in.storage, float_from(stack[9]),
       in.x.data(), norm_weight.data(), norm_bias.data(), qkv_weight.data(), qkv_bias.data(), proj_weight.data(),
       proj_bias.data(), y.data()},
      torch_threads);
  stack[0] = in.result(std::move(y));
}

using Kernel = void (*)(StableIValue*, uint64_t, uint64_t);

void register_for(const char* device, std::initializer_list<std::pair<const char*, Kernel>> kernels) {
  TorchLibraryHandle library = nullptr;
  check(aoti_torch_library_init_impl("dispr", device, __FILE__, __LINE__, &library), "register kernels");
  for (const auto& [name, kernel] : kernels)
    check(torch_library_impl(library, name, kernel, kTorchVersion), "register a kernel");
}

const bool registered = [] {
  register_for("CPU", {{"group_norm_silu", group_norm_silu},
                       {"group_norm_silu_backward", group_norm_silu_backward},
                       {"attention_3d", attention_3d}});
  return true;
}();

}  // namespace
}  // namespace dispr

// What dispr_cli/diffusion/ops/library.py asks the loaded library.
extern "C" {
__attribute__((visibility("default"))) const char* dispr_instruction_set() {
  return dispr::cpu_kernels().instruction_set;
}
__attribute__((visibility("default"))) int dispr_choose_instruction_set(const char* name) {
  return dispr::choose_cpu_kernels(name);
}
__attribute__((visibility("default"))) int dispr_has_cuda() {
#ifdef DISPR_CUDA
  return 1;
#else
  return 0;
#endif
}
}
