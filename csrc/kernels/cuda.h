// The kernels for CUDA devices: as the CPU's, with a stream to run in and memory to work in. Raw pointers, no torch.
#pragma once

#include "group_norm.h"

namespace dispr {
namespace cuda {

// Makes a device the current one as long as it lives.
class OnDevice {
 public:
  explicit OnDevice(int device);
  ~OnDevice();
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int before_;
};

// Bytes of working memory each kernel needs, aligned to 256 bytes.
int64_t group_norm_workspace(const GroupNormShape& shape, Storage storage);
int64_t group_norm_backward_workspace(const GroupNormShape& shape, Storage storage);

void group_norm_forward(const GroupNormForward& args, void* workspace, void* stream);
void group_norm_backward(const GroupNormBackward& args, void* workspace, void* stream);

}  // namespace cuda
}  // namespace dispr
