// Normal noise on CUDA devices, the numbers of noise_cpu.h: a thread for each block of random bits, eight numbers.
#include "cuda.h"
#include "lanes.cuh"
#include "random.h"

namespace dispr {
namespace cuda {
namespace {

struct ThreadLanes {
  using Float = float;
  using Int = int32_t;
  using Word = uint32_t;
  __device__ static float number(int32_t v) { return __int2float_rn(v); }
  __device__ static int32_t bits(float v) { return __float_as_int(v); }
  __device__ static float from_bits(int32_t v) { return __int_as_float(v); }
};

__global__ void __launch_bounds__(kThreads) draw(NormalNoise a, int64_t blocks) {
  const int64_t block = int64_t(blockIdx.x) * kThreads + threadIdx.x, n = blockIdx.y;
  if (block >= blocks) return;
  const int64_t* stream = a.streams + 3 * n;
  const RandomBlock drawn = philox(uint64_t(stream[0]), uint64_t(stream[1]), uint64_t(stream[2] + block));
  float cosines[kBlockWords], sines[kBlockWords];
#pragma unroll
  for (int i = 0; i < kBlockWords; ++i) {
    const Polar<ThreadLanes> point = polar<ThreadLanes>(uint32_t(drawn.words[i]), uint32_t(drawn.words[i] >> 32));
    const float radius = sqrtf(point.square);
    cosines[i] = radius * point.cosine;
    sines[i] = radius * point.sine;
  }
  const int64_t at = block / kChunkBlocks * kChunkNormals + block % kChunkBlocks * kBlockWords;
  float* y = a.y + n * a.count;
  if (a.count % kBlockWords == 0 && at + kChunkWords + kBlockWords <= a.count) {
    store<kBlockWords>(y + at, cosines);
    store<kBlockWords>(y + at + kChunkWords, sines);
    return;
  }
  for (int i = 0; i < kBlockWords; ++i) {
    if (at + i < a.count) y[at + i] = cosines[i];
    if (at + kChunkWords + i < a.count) y[at + kChunkWords + i] = sines[i];
  }
}

}  // namespace

void normal_noise(const NormalNoise& args, void* stream) {
  if (args.samples * args.count == 0) return;
  const int64_t blocks = quotient_up(args.count, kChunkNormals) * kChunkBlocks;
  const dim3 grid(unsigned(quotient_up(blocks, kThreads)), unsigned(args.samples));
  draw<<<grid, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(args, blocks);
  check(cudaGetLastError(), "normal_noise");
}

}  // namespace cuda
}  // namespace dispr
