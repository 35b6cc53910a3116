// Registers the kernels with PyTorch's dispatcher. The schemas, and what stands in for kernels that are not built,
// are in dispr_cli/diffusion/ops/library.py.
#include "kernels/cpu.h"
#include "ops.h"

#ifdef DISPR_CUDA
#include <dlfcn.h>

#include "kernels/cuda.h"
#endif

namespace dispr {
namespace {

struct OnCpu {
  static constexpr bool reads_float16 = false;

  static void run(const Tensor&, const GroupNormForward& args) { cpu_kernels().group_norm_forward(args, threads()); }
  static void run(const Tensor&, const GroupNormBackward& args) { cpu_kernels().group_norm_backward(args, threads()); }
  static void run(const Tensor&, const AttentionForward& args) { cpu_kernels().attention_forward(args, threads()); }
  static void run(const Tensor&, const ConvolutionForward& args) { cpu_kernels().convolution_forward(args, threads()); }
  static void run(const Tensor&, const PatchProjection& args) { cpu_kernels().patch_projection(args, threads()); }
  static void run(const Tensor&, const LinearRows& args) { cpu_kernels().linear_rows(args, threads()); }
  static void run(const Tensor&, const NormalNoise& args) { cpu_kernels().normal_noise(args, threads()); }
  static void run(const Tensor&, const ConvolutionWeights& args) { run_if_there(cpu_kernels().pack_convolution, args); }
  static void run(const Tensor&, const Bf16Convolution& args) { run_if_there(cpu_kernels().convolution_bf16, args); }

 private:
  static void run_on_torch_threads(int64_t tasks, int64_t grain, Parallel::Body body, void* context) {
    check(torch_parallel_for(0, tasks, grain, body, context), "run a kernel's tasks");
  }
  static Parallel threads() {
    uint32_t count = 1;
    check(torch_get_num_threads(&count), "say its number of threads");
    return {run_on_torch_threads, count};
  }

  template <class Args>
  static void run_if_there(void (*kernel)(const Args&, const Parallel&), const Args& args) {
    if (!kernel) throw std::runtime_error("dispr kernels: this instruction set has no convolution in bfloat16");
    kernel(args, threads());
  }
};

#ifdef DISPR_CUDA
struct OnCuda {
  static constexpr bool reads_float16 = true;

  static void run(const Tensor& x, const GroupNormForward& args) {
    const Launch launch(x, cuda::group_norm_workspace(args.shape, args.storage));
    cuda::group_norm_forward(args, launch.workspace.data(), launch.stream);
  }
  static void run(const Tensor& x, const GroupNormBackward& args) {
    const Launch launch(x, cuda::group_norm_backward_workspace(args.shape, args.storage));
    cuda::group_norm_backward(args, launch.workspace.data(), launch.stream);
  }

 private:
  // x's device made current while it lives, torch's stream on it, and memory to work in.
  struct Launch {
    cuda::OnDevice device;
    void* stream = nullptr;
    Tensor workspace;

    Launch(const Tensor& x, int64_t bytes)
        : device(x.device_index()), workspace(empty_strided({bytes / 4 + 1}, {1}, aoti_torch_dtype_float32(), x)) {
      check(stream_getter()(x.device_index(), &stream), "give its CUDA stream");
    }
  };

  // Only a torch for CUDA has this function, so it cannot be linked to: the same library serves a torch without.
  using StreamGetter = AOTITorchError (*)(int32_t, void**);
  static StreamGetter stream_getter() {
    static const auto getter = [] {
      void* torch_cuda = dlopen("libtorch_cuda.so", RTLD_LAZY | RTLD_NOLOAD);
      void* symbol = torch_cuda ? dlsym(torch_cuda, "aoti_torch_get_current_cuda_stream") : nullptr;
      if (!symbol) throw std::runtime_error("dispr kernels: this torch has no CUDA streams");
      return reinterpret_cast<StreamGetter>(symbol);
    }();
    return getter;
  }
};
#endif

const bool registered = [] {
  register_for("CPU", {{"group_norm_silu", group_norm_silu<OnCpu>},
                       {"group_norm_silu_backward", group_norm_silu_backward<OnCpu>},
                       {"attention_3d", attention_3d<OnCpu>},
                       {"convolution_3d", convolution_3d<OnCpu>},
                       {"patch_projection", patch_projection<OnCpu>},
                       {"linear_rows", linear_rows<OnCpu>},
                       {"normal_noise", normal_noise<OnCpu>},
                       {"pack_convolution", pack_convolution<OnCpu>},
                       {"convolve_packed", convolve_packed<OnCpu>},
                       {"norm_convolve_packed", norm_convolve_packed<OnCpu>}});
#ifdef DISPR_CUDA
  register_for("CUDA", {{"compiled_group_norm_silu", group_norm_silu<OnCuda>},
                        {"compiled_group_norm_silu_backward", group_norm_silu_backward<OnCuda>}});
#endif
  return true;
}();

}  // namespace
}  // namespace dispr

// What dispr_cli/diffusion/ops/library.py asks the loaded library.
#define DISPR_EXPORT extern "C" __attribute__((visibility("default")))

// Named after the schemas it knows; library.py looks for the name before it loads the library. A new number for every
// change of a schema, here and there.
DISPR_EXPORT void dispr_schemas_2() {}
DISPR_EXPORT const char* dispr_instruction_set() { return dispr::cpu_kernels().instruction_set; }
DISPR_EXPORT int dispr_choose_instruction_set(const char* name) { return dispr::choose_cpu_kernels(name); }
DISPR_EXPORT int dispr_convolves_bf16() { return dispr::cpu_kernels().convolution_bf16 != nullptr; }
DISPR_EXPORT int dispr_has_cuda() {
#ifdef DISPR_CUDA
  return 1;
#else
  return 0;
#endif
}
