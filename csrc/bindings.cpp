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

Tensor empty_like(const Tensor& x, bool channels_last) {
  return empty_strided(x.sizes(), dense_strides(x.sizes(), channels_last), x.dtype(), x);
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

// x with what the kernels need to know of it.
struct Input {
  bool channels_last;
  int32_t dtype, parameter_dtype;
  Tensor x;
  Storage storage;

  explicit Input(Tensor&& from)
      : channels_last(is_channels_last(from)),
        dtype(from.dtype()),
        parameter_dtype(dtype == aoti_torch_dtype_float64() ? dtype : aoti_torch_dtype_float32()),
        x(laid_out(std::move(from), channels_last, dtype)),
        storage(storage_of(dtype)) {}

  Tensor like_x(Tensor&& tensor) const { return laid_out(std::move(tensor), channels_last, dtype); }
  Tensor parameter(Tensor&& tensor) const { return laid_out(std::move(tensor), false, parameter_dtype); }
  Tensor new_parameter(const Sizes& sizes) const {
    return empty_strided(sizes, dense_strides(sizes, false), parameter_dtype, x);
  }
  GroupNormShape shape(int64_t groups) const {
    const Sizes sizes = x.sizes();
    return {sizes[0], sizes[1], product(sizes, 2), groups, channels_last};
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
  const Sizes per_group{in.x.sizes()[0], groups};
  Tensor y = empty_like(in.x, in.channels_last), mean = in.new_parameter(per_group), rstd = in.new_parameter(per_group);
  cpu_kernels().group_norm_forward(
      {in.shape(groups), in.storage, eps, in.x.data(), weight.data(), bias.data(), scale.data(), shift.data(),
       residual.data(), y.data(), mean.data(), rstd.data()},
      torch_threads);
  stack[0] = word_from(std::move(y));
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
  const int64_t groups = int_from(stack[4]);
  const Tensor weight = in.parameter(tensor_from(stack[5])), bias = in.parameter(tensor_from(stack[6]));
  const Tensor scale = in.parameter(optional_tensor_from(stack[7]));
  const Tensor shift = in.parameter(optional_tensor_from(stack[8]));
  const GroupNormShape shape = in.shape(groups);
  Tensor grad_x = empty_like(in.x, in.channels_last);
  Tensor grad_weight = in.new_parameter({shape.channels}), grad_bias = in.new_parameter({shape.channels});
  Tensor grad_scale = in.new_parameter({shape.samples, shape.channels});
  Tensor grad_shift = in.new_parameter({shape.samples, shape.channels});
  cpu_kernels().group_norm_backward(
      {shape, in.storage, grad.data(), in.x.data(), mean.data(), rstd.data(), weight.data(), bias.data(), scale.data(),
       shift.data(), grad_x.data(), grad_weight.data(), grad_bias.data(), grad_scale.data(), grad_shift.data()},
      torch_threads);
  Tensor* results[] = {&grad_x, &grad_weight, &grad_bias, &grad_scale, &grad_shift};
  for (int i = 0; i < 5; ++i) stack[i] = word_from(std::move(*results[i]));
}

void register_for(const char* device, std::initializer_list<std::pair<const char*, void (*)(StableIValue*, uint64_t, uint64_t)>> kernels) {
  TorchLibraryHandle library = nullptr;
  check(aoti_torch_library_init_impl("dispr", device, __FILE__, __LINE__, &library), "register kernels");
  for (const auto& [name, kernel] : kernels)
    check(torch_library_impl(library, name, kernel, kTorchVersion), "register a kernel");
}

const bool registered = [] {
  register_for("CPU", {{"group_norm_silu", group_norm_silu}, {"group_norm_silu_backward", group_norm_silu_backward}});
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
