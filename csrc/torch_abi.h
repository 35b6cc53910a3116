// The few functions of PyTorch's stable C interface that the binding calls, and owners for what they return.
//
// Declared here instead of included, so that the kernels build without any torch at hand: in a fresh environment
// pip builds this package before torch is installed. The interface is fixed from torch 2.11 on;
// tests/test_build.py compiles this file together with the headers of the installed torch, which fails on any
// difference.
#pragma once

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

extern "C" {
struct AtenTensorOpaque;
using AtenTensorHandle = AtenTensorOpaque*;
struct TorchLibraryOpaque;
using TorchLibraryHandle = TorchLibraryOpaque*;
using StableIValue = uint64_t;
using AOTITorchError = int32_t;

AOTITorchError aoti_torch_library_init_impl(
    const char* ns, const char* k, const char* file, uint32_t line, TorchLibraryHandle* ret_new_torch_lib);
AOTITorchError torch_library_impl(
    TorchLibraryHandle self, const char* name, void (*fn)(StableIValue*, uint64_t, uint64_t), uint64_t version);

AOTITorchError aoti_torch_get_dim(AtenTensorHandle tensor, int64_t* ret_dim);
AOTITorchError aoti_torch_get_sizes(AtenTensorHandle tensor, int64_t** ret_sizes);
AOTITorchError aoti_torch_get_strides(AtenTensorHandle tensor, int64_t** ret_strides);
AOTITorchError aoti_torch_get_dtype(AtenTensorHandle tensor, int32_t* ret_dtype);
AOTITorchError aoti_torch_get_device_type(AtenTensorHandle tensor, int32_t* ret_device_type);
AOTITorchError aoti_torch_get_device_index(AtenTensorHandle tensor, int32_t* ret_device_index);
AOTITorchError aoti_torch_get_data_ptr(AtenTensorHandle tensor, void** ret_data_ptr);
AOTITorchError aoti_torch_empty_strided(
    int64_t ndim, const int64_t* sizes_ptr, const int64_t* strides_ptr, int32_t dtype, int32_t device_type,
    int32_t device_index, AtenTensorHandle* ret_new_tensor);
AOTITorchError aoti_torch_copy_(AtenTensorHandle self, AtenTensorHandle src, int32_t non_blocking);
AOTITorchError aoti_torch_delete_tensor_object(AtenTensorHandle tensor);

int32_t aoti_torch_dtype_bfloat16();
int32_t aoti_torch_dtype_float16();
int32_t aoti_torch_dtype_float32();
int32_t aoti_torch_dtype_float64();
int32_t aoti_torch_dtype_int64();

AOTITorchError torch_get_num_threads(uint32_t* out_num_threads);
AOTITorchError torch_parallel_for(
    int64_t begin, int64_t end, int64_t grain_size, void (*func)(int64_t, int64_t, void*), void* ctx);
}

namespace dispr {

constexpr uint64_t kTorchVersion = (uint64_t{2} << 56) | (uint64_t{11} << 48);

inline void check(AOTITorchError error, const char* what) {
  if (error != 0) throw std::runtime_error(std::string("dispr kernels: torch refused to ") + what);
}

// One owned reference to a tensor.
class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(AtenTensorHandle handle) : handle_(handle) {}
  Tensor(Tensor&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Tensor& operator=(Tensor&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Tensor() {
    if (handle_) aoti_torch_delete_tensor_object(handle_);
  }

  explicit operator bool() const { return handle_ != nullptr; }
  AtenTensorHandle get() const { return handle_; }
  AtenTensorHandle release() { return std::exchange(handle_, nullptr); }

  std::vector<int64_t> sizes() const { return read(aoti_torch_get_sizes); }
  std::vector<int64_t> strides() const { return read(aoti_torch_get_strides); }
  int32_t dtype() const { return read_int(aoti_torch_get_dtype); }
  int32_t device_type() const { return read_int(aoti_torch_get_device_type); }
  int32_t device_index() const { return read_int(aoti_torch_get_device_index); }
  void* data() const {
    void* pointer = nullptr;
    if (handle_) check(aoti_torch_get_data_ptr(handle_, &pointer), "give a tensor's data");
    return pointer;
  }

 private:
  std::vector<int64_t> read(AOTITorchError (*getter)(AtenTensorHandle, int64_t**)) const {
    int64_t dim = 0;
    int64_t* values = nullptr;
    check(aoti_torch_get_dim(handle_, &dim), "give a tensor's dimensions");
    check(getter(handle_, &values), "give a tensor's shape");
    return {values, values + dim};
  }
  int32_t read_int(AOTITorchError (*getter)(AtenTensorHandle, int32_t*)) const {
    int32_t value = 0;
    check(getter(handle_, &value), "describe a tensor");
    return value;
  }

  AtenTensorHandle handle_ = nullptr;
};

inline Tensor empty_strided(
    const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides, int32_t dtype, const Tensor& like) {
  AtenTensorHandle handle = nullptr;
  check(
      aoti_torch_empty_strided(
          static_cast<int64_t>(sizes.size()), sizes.data(), strides.data(), dtype, like.device_type(),
          like.device_index(), &handle),
      "allocate a tensor");
  return Tensor(handle);
}

// Arguments and results travel as 64-bit words; reading one takes over its ownership.
inline Tensor tensor_from(StableIValue word) { return Tensor(reinterpret_cast<AtenTensorHandle>(word)); }

inline Tensor optional_tensor_from(StableIValue word) {
  if (word == 0) return {};
  auto* boxed = reinterpret_cast<StableIValue*>(word);
  Tensor tensor = tensor_from(*boxed);
  delete boxed;
  return tensor;
}

inline int64_t int_from(StableIValue word) { return static_cast<int64_t>(word); }

inline double float_from(StableIValue word) {
  double value;
  std::memcpy(&value, &word, sizeof value);
  return value;
}

inline StableIValue word_from(Tensor&& tensor) { return reinterpret_cast<StableIValue>(tensor.release()); }

}  // namespace dispr
