#include "cpu.h"

#include <atomic>
#include <cstring>

#ifdef DISPR_HAVE_AMX
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace dispr {

namespace generic {
extern const CpuKernels kernels;
}
#ifdef DISPR_HAVE_AVX2
namespace avx2 {
extern const CpuKernels kernels;
}
#endif
#ifdef DISPR_HAVE_AVX512
namespace avx512 {
extern const CpuKernels kernels;
}
#endif
#ifdef DISPR_HAVE_AMX
namespace amx {
extern const CpuKernels kernels;
}
#endif

namespace {

#ifdef DISPR_HAVE_AVX2
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
}
#endif
#ifdef DISPR_HAVE_AVX512
bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("bmi2");
}
#endif
#ifdef DISPR_HAVE_AMX
// The processor has tiles and products of bfloat16 in them (CPUID leaf 7), and Linux lets this process use them.
bool has_amx() {
  unsigned a, b, c, d;
  if (!has_avx512() || !__builtin_cpu_supports("avx512bf16") || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  constexpr unsigned kBf16 = 1u << 22, kTile = 1u << 24;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)
  return (d & kBf16) && (d & kTile) && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#endif

struct Candidate {
  const CpuKernels* kernels;
  bool (*runs_here)();
};

// From the most to the least wanted. A new instruction set is one more line, and one more source in CMakeLists.txt.
const Candidate candidates[] = {
#ifdef DISPR_HAVE_AMX
    {&amx::kernels, has_amx},
#endif
#ifdef DISPR_HAVE_AVX512
    {&avx512::kernels, has_avx512},
#endif
#ifdef DISPR_HAVE_AVX2
    {&avx2::kernels, has_avx2},
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
