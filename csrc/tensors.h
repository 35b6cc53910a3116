// How the binding checks tensors and lays them out for the kernels, and hands results back in the caller's own layout.
//
// A kernel trusts its pointers and sizes: whatever an operator is handed is checked here first, or in `Input`'s terms in
// ops.h. An operator first takes ownership of every argument, so that nothing leaks when a check throws.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "kernels/group_norm.h"
#include "torch_abi.h"

namespace dispr {

using Sizes = std::vector<int64_t>;

// An argument of an operator, as errors name it.
struct Argument {
  const char *op, *name;
};

[[noreturn]] inline void refuse(const Argument& of, const std::string& why) {
  throw std::runtime_error(std::string(of.op) + ": " + of.name + " " + why);
}

inline std::string text(const Sizes& sizes) {
  std::string joined;
  for (const int64_t size : sizes) joined += (joined.empty() ? "" : ", ") + std::to_string(size);
  return "(" + joined + ")";
}

inline Storage storage_of(int32_t dtype, const Argument& of) {
  if (dtype == aoti_torch_dtype_float32()) return Storage::float32;
  if (dtype == aoti_torch_dtype_bfloat16()) return Storage::bfloat16;
  if (dtype == aoti_torch_dtype_float16()) return Storage::float16;
  if (dtype == aoti_torch_dtype_float64()) return Storage::float64;
  refuse(of, "is of another type than float32, bfloat16, float16 or float64");
}

inline void check_shape(const Tensor& tensor, const Sizes& expected, const Argument& of) {
  const Sizes sizes = tensor.sizes();
  if (sizes != expected) refuse(of, "has shape " + text(sizes) + ", expected " + text(expected));
}

inline void check_device(const Tensor& tensor, const Tensor& x, const Argument& of) {
  if (tensor.device_type() != x.device_type() || tensor.device_index() != x.device_index())
    refuse(of, "is not on the device of the first argument");
}

inline void check_range(int64_t value, int64_t least, int64_t most, const Argument& of) {
  if (value < least || value > most)
    refuse(of, "is " + std::to_string(value) + ", expected " + std::to_string(least) + " to " + std::to_string(most));
}

inline int64_t product(const Sizes& sizes, size_t from = 0) {
  int64_t count = 1;
  for (size_t d = from; d < sizes.size(); ++d) count *= sizes[d];
  return count;
}

// Strides of a dense tensor of these sizes, channels innermost or in the usual order.
inline Sizes dense_strides(const Sizes& sizes, bool channels_last) {
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
inline bool lies_as(const Sizes& sizes, const Sizes& strides, bool channels_last) {
  const Sizes dense = dense_strides(sizes, channels_last);
  for (size_t d = 0; d < sizes.size(); ++d)
    if (sizes[d] != 1 && strides[d] != dense[d]) return product(sizes) == 0;
  return true;
}

// The layout rule of dispr_cli/diffusion/ops/plain.py.
inline bool is_channels_last(const Tensor& x) {
  const Sizes sizes = x.sizes(), strides = x.strides();
  if (sizes.size() != 4 && sizes.size() != 5) return false;
  return !lies_as(sizes, strides, false) && lies_as(sizes, strides, true);
}

// The tensor itself if it is dense in the given order and of the given dtype, else a copy that is.
inline Tensor laid_out(Tensor tensor, bool channels_last, int32_t dtype) {
  if (!tensor) return tensor;
  const Sizes sizes = tensor.sizes();
  if (tensor.dtype() == dtype && lies_as(sizes, tensor.strides(), channels_last)) return tensor;
  Tensor copy = empty_strided(sizes, dense_strides(sizes, channels_last), dtype, tensor);
  check(aoti_torch_copy_(copy.get(), tensor.get(), 0), "copy a tensor");
  return copy;
}

// What a kernel asks of x: any layout, or channels-last; whether it reads float16, or wants float32 instead; its axes.
struct Demands {
  bool channels_last, float16;
  size_t least_axes, most_axes;
};

// x as the kernel wants it, and what follows from it for all other tensors.
struct Input {
  const char* op;
  Sizes sizes;
  bool channels_last, lay_channels_last;
  int32_t given_dtype, dtype, parameter_dtype;
  Storage storage;
  Tensor x;

  Input(const char* op, Tensor&& from, Demands demands, const char* name = "x")
      : op(op),
        sizes(checked_axes(from, demands, {op, name})),
        channels_last(is_channels_last(from)),
        lay_channels_last(channels_last || demands.channels_last),
        given_dtype(from.dtype()),
        dtype(given_dtype == aoti_torch_dtype_float16() && !demands.float16 ? aoti_torch_dtype_float32() : given_dtype),
        parameter_dtype(dtype == aoti_torch_dtype_float64() ? dtype : aoti_torch_dtype_float32()),
        storage(storage_of(dtype, {op, name})),
        x(laid_out(std::move(from), lay_channels_last, dtype)) {}

  Argument argument(const char* name) const { return {op, name}; }

  // Absent tensors stay absent; one that is there is of the given shape, real and floating, and on x's device.
  void check(const Tensor& tensor, const Sizes& shape, const char* name) const {
    if (!tensor) return;
    check_shape(tensor, shape, argument(name));
    storage_of(tensor.dtype(), argument(name));
    check_device(tensor, x, argument(name));
  }
  Tensor like_x(Tensor&& tensor, const char* name) const { return volume(std::move(tensor), sizes, dtype, name); }
  Tensor volume(Tensor&& tensor, const Sizes& shape, int32_t as, const char* name) const {
    check(tensor, shape, name);
    return laid_out(std::move(tensor), lay_channels_last, as);
  }
  Tensor parameter(Tensor&& tensor, const Sizes& shape, const char* name) const {
    check(tensor, shape, name);
    return laid_out(std::move(tensor), false, parameter_dtype);
  }
  Tensor new_like_x() const { return empty_strided(sizes, dense_strides(sizes, lay_channels_last), dtype, x); }
  Tensor new_parameter(const Sizes& shape) const {
    return empty_strided(shape, dense_strides(shape, false), parameter_dtype, x);
  }
  // What the caller receives: a result, laid out as lay_channels_last says, in x's own layout and dtype.
  StableIValue result(Tensor&& tensor) const {
    if (lay_channels_last != channels_last) {
      const Sizes sizes = tensor.sizes();
      const Sizes strides = dense_strides(sizes, channels_last);
      Tensor copy = empty_strided(sizes, strides, given_dtype, x);
      dispr::check(aoti_torch_copy_(copy.get(), tensor.get(), 0), "copy a tensor");
      return word_from(std::move(copy));
    }
    return word_from(laid_out(std::move(tensor), channels_last, given_dtype));
  }
  GroupNormShape shape(int64_t groups) const {
    if (groups < 1 || sizes[1] < 1 || sizes[1] % groups != 0)
      refuse(argument("num_groups"), "is " + std::to_string(groups) + ", which does not divide " +
                                         std::to_string(sizes[1]) + " channels");
    return {sizes[0], sizes[1], product(sizes, 2), groups, lay_channels_last};
  }

 private:
  static Sizes checked_axes(const Tensor& x, const Demands& demands, const Argument& of) {
    Sizes sizes = x.sizes();
    if (sizes.size() < demands.least_axes || sizes.size() > demands.most_axes)
      refuse(of, "has shape " + text(sizes) + ", expected " + std::to_string(demands.least_axes) +
                     (demands.most_axes == demands.least_axes ? "" : " or more") + " axes");
    return sizes;
  }
};

using Kernel = void (*)(StableIValue*, uint64_t, uint64_t);

inline void register_for(const char* device, std::initializer_list<std::pair<const char*, Kernel>> kernels) {
  TorchLibraryHandle library = nullptr;
  check(aoti_torch_library_init_impl("dispr", device, __FILE__, __LINE__, &library), "register kernels");
  for (const auto& [name, kernel] : kernels)
    check(torch_library_impl(library, name, kernel, kTorchVersion), "register a kernel");
}

}  // namespace dispr
