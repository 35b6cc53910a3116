#include "cpu.h"

#include <atomic>
#include <cstring>

namespace dispr {

namespace generic {
extern const CpuKernels kernels;
}
#ifdef DISPR_HAVE_AVX2
namespace avx2 {
extern const CpuKernels kernels;
}
#endif

namespace {

struct Candidate {
  const CpuKernels* kernels;
  bool (*runs_here)();
};

// From the most to the least wanted. A new instruction set is one more line, and one more source in CMakeLists.txt.
const Candidate candidates[] = {
#ifdef DISPR_HAVE_AVX2
    {&avx2::kernels,
     [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }},
#endif
    {&generic::kernels, [] { return true; }},
};

const CpuKernels* find(const char* instruction_set) {
  for (const Candidate& candidate : candidates) {
    const bool wanted = !*instruction_set || !std::strcmp(instruction_set, candidate.kernels->instruction_set);
    if (wanted && candidate.runs_here()) return candidate.kernels;
  }
  return nullptr;
}

std::atomic<const CpuKernels*>& chosen() {
  static std::atomic<const CpuKernels*> kernels{find("")};
  return kernels;
}

}  // namespace

const CpuKernels& cpu_kernels() { return *chosen().load(std::memory_order_relaxed); }

bool choose_cpu_kernels(const char* instruction_set) {
  const CpuKernels* kernels = find(instruction_set);
  if (kernels) chosen().store(kernels, std::memory_order_relaxed);
  return kernels != nullptr;
}

}  // namespace dispr
