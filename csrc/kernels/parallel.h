// How a kernel spreads its tasks over threads: through the caller, so that PyTorch's own pool and
// torch.set_num_threads hold. A task's result never depends on which thread runs it, nor on how many there are.
#pragma once

#include <cstdint>

namespace dispr {

struct Parallel {
  using Body = void (*)(int64_t begin, int64_t end, void* context);
  // Calls body over disjoint ranges that cover [0, tasks), each at least grain long (except the last).
  void (*run)(int64_t tasks, int64_t grain, Body body, void* context);
  int64_t threads;  // how many share the tasks: for choices that change no result
};

}  // namespace dispr
