// How the binding lays tensors out for the kernels, and hands the results back in the caller's own layout.
#pragma once

#include <initializer_list>
#include <utility>
#include <vector>

#include "kernels/group_norm.h"
#include "torch_abi.h"

namespace dispr {

using Sizes = std::vector<int64_t>;

inline Storage storage_of(int32_t dtype) {
  if (dtype == aoti_torch_dtype_float32()) return Storage::float32;
  if (dtype == aoti_torch_dtype_bfloat16()) return Storage::bfloat16;
  if (dtype == aoti_torch_dtype_float16()) return Storage::float16;
  if (dtype == aoti_torch_dtype_float64()) return Storage::float64;
  throw std::runtime_error("dispr kernels: x must be float32, bfloat16, float16 or float64");
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

// What a kernel asks of x: any layout, or channels-last; and whether it reads float16, or wants float32 instead.
struct Demands {
  bool channels_last, float16;
};

// x as the kernel wants it, and what follows from it for all other tensors.
struct Input {
  Sizes sizes;
  bool channels_last, lay_channels_last;
  int32_t given_dtype, dtype, parameter_dtype;
  Tensor x;
  Storage storage;

  Input(Tensor&& from, Demands demands)
      : sizes(from.sizes()),
        channels_last(is_channels_last(from)),
        lay_channels_last(channels_last || demands.channels_last),
        given_dtype(from.dtype()),
        dtype(given_dtype == aoti_torch_dtype_float16() && !demands.float16 ? aoti_torch_dtype_float32() : given_dtype),
        parameter_dtype(dtype == aoti_torch_dtype_float64() ? dtype : aoti_torch_dtype_float32()),
        x(laid_out(std::move(from), lay_channels_last, dtype)),
        storage(storage_of(dtype)) {}

  Tensor like_x(Tensor&& tensor) const { return laid_out(std::move(tensor), lay_channels_last, dtype); }
  Tensor new_like_x() const { return empty_strided(sizes, dense_strides(sizes, lay_channels_last), dtype, x); }
  Tensor parameter(Tensor&& tensor) const { return laid_out(std::move(tensor), false, parameter_dtype); }
  Tensor new_parameter(const Sizes& shape) const {
    return empty_strided(shape, dense_strides(shape, false), parameter_dtype, x);
  }
  // What the caller receives: a result, laid out as lay_channels_last says, in x's own layout and dtype.
  StableIValue result(Tensor&& tensor) const {
    if (lay_channels_last != channels_last) {
      const Sizes sizes = tensor.sizes();
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

using Kernel = void (*)(StableIValue*, uint64_t, uint64_t);

inline void register_for(const char* device, std::initializer_list<std::pair<const char*, Kernel>> kernels) {
  TorchLibraryHandle library = nullptr;
  check(aoti_torch_library_init_impl("dispr", device, __FILE__, __LINE__, &library), "register kernels");
  for (const auto& [name, kernel] : kernels)
    check(torch_library_impl(library, name, kernel, kTorchVersion), "register a kernel");
}

}  // namespace dispr
