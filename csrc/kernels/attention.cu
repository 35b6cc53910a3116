// The self-attention block on CUDA devices, for up to about a thousand tokens, where launches cost more than sums.
//
// Norm statistics (group_norm.cu), then three kernels on tensor cores: normalise and project to q, k and v; attention
// of 16 queries to all keys, whose scores stay on chip; output projection and residual. Sums are float throughout.
#include <mma.h>

#include <cstdint>
#include <initializer_list>

#include "cuda.h"
#include "group_norm_affine.cuh"

namespace dispr {
namespace cuda {
namespace {

namespace wmma = nvcuda::wmma;

constexpr int kFragment = 16;      // tensor cores multiply 16 x 16 x 16
constexpr int kWarps = 4;
constexpr int kBlockTokens = 64;   // a projection's block: 64 tokens x 64 outputs, a warp 32 x 32
constexpr int kBlockOutputs = 64;
constexpr int kDepth = 32;
constexpr int kStagedRow = kDepth + 8;          // padded, so that rows start in different banks
constexpr int kSumsRow = kBlockOutputs + 4;
constexpr int64_t kScoresOnChip = 98 * 1024;    // bytes every supported device gives a block, less a little

template <class S>
using FragmentA = wmma::fragment<wmma::matrix_a, kFragment, kFragment, kFragment, S, wmma::row_major>;
template <class S, class Order>
using FragmentB = wmma::fragment<wmma::matrix_b, kFragment, kFragment, kFragment, S, Order>;
using Accumulator = wmma::fragment<wmma::accumulator, kFragment, kFragment, kFragment, float>;

int64_t padded(int64_t tokens) { return quotient_up(tokens, kFragment) * kFragment; }

// --- where a projection reads and writes ---------------------------------------------------------------------------

template <class S>
struct FromNormalised {
  const S* x;
  const Affine<float>* affine;
  int64_t tokens, channels;
  __device__ float operator()(int64_t n, int64_t t, int64_t c) const {
    const Affine<float> of = affine[n * channels + c];
    return (widen(x[(n * tokens + t) * channels + c]) - of.centre) * of.gain + of.offset;
  }
};

template <class S>
struct FromMixed {
  const S* mixed;
  int64_t tokens, channels;
  __device__ float operator()(int64_t n, int64_t t, int64_t c) const {
    return widen(mixed[(n * tokens + t) * channels + c]);
  }
};

// q, k and v as (N, 3, heads, padded tokens, size); q scaled, tokens that do not exist zero.
template <class S>
struct ToHeads {
  S* qkv;
  const float* bias;
  int64_t tokens, padded_tokens, channels, size;
  float scale;
  __device__ void operator()(int64_t n, int64_t t, int64_t c, float sum) const {
    if (t >= padded_tokens || c >= 3 * channels) return;
    const float value = t < tokens ? (sum + bias[c]) * (c < channels ? scale : 1.0f) : 0.0f;
    qkv[((n * 3 * channels + c) / size * padded_tokens + t) * size + c % size] = narrow<S>(value);
  }
};

template <class S>
struct ToResult {
  const S* x;
  S* y;
  const float* bias;
  int64_t tokens, channels;
  __device__ void operator()(int64_t n, int64_t t, int64_t c, float sum) const {
    if (t >= tokens || c >= channels) return;
    const int64_t at = (n * tokens + t) * channels + c;
    y[at] = narrow<S>(widen(x[at]) + sum + bias[c]);
  }
};

// --- kernels -------------------------------------------------------------------------------------------------------

// write(n, t, c, Σₖ read(n, t, k) · weight[c, k]) for 64 tokens and 64 outputs of a sample.
template <class S, class Read, class Write>
__global__ void __launch_bounds__(32 * kWarps)
    project(Read read, Write write, const float* weight, int64_t tokens, int64_t inputs, int64_t outputs) {
  __shared__ __align__(32) S a[kBlockTokens * kStagedRow];
  __shared__ __align__(32) S b[kBlockOutputs * kStagedRow];
  __shared__ __align__(32) float sums[kBlockTokens * kSumsRow];
  const int64_t first_token = int64_t(blockIdx.x) * kBlockTokens, first_output = int64_t(blockIdx.y) * kBlockOutputs;
  const int64_t n = blockIdx.z;
  const int warp = threadIdx.x / 32, row = warp / 2 * 32, column = warp % 2 * 32;
  Accumulator tile[2][2];
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 2; ++j) wmma::fill_fragment(tile[i][j], 0.0f);
  for (int64_t depth = 0; depth < inputs; depth += kDepth) {
    for (int i = threadIdx.x; i < kBlockTokens * kDepth; i += 32 * kWarps) {
      const int r = i / kDepth, k = i % kDepth;
      const bool inside = depth + k < inputs;
      const int64_t token = first_token + r, output = first_output + r;
      a[r * kStagedRow + k] = narrow<S>(inside && token < tokens ? read(n, token, depth + k) : 0.0f);
      b[r * kStagedRow + k] = narrow<S>(inside && output < outputs ? weight[output * inputs + depth + k] : 0.0f);
    }
    __syncthreads();
    for (int k = 0; k < kDepth; k += kFragment) {
      FragmentA<S> of_a[2];
      FragmentB<S, wmma::col_major> of_b[2];
      for (int i = 0; i < 2; ++i) {
        wmma::load_matrix_sync(of_a[i], a + (row + kFragment * i) * kStagedRow + k, kStagedRow);
        wmma::load_matrix_sync(of_b[i], b + (column + kFragment * i) * kStagedRow + k, kStagedRow);
      }
      for (int i = 0; i < 2; ++i)
        for (int j = 0; j < 2; ++j) wmma::mma_sync(tile[i][j], of_a[i], of_b[j], tile[i][j]);
    }
    __syncthreads();
  }
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 2; ++j)
      wmma::store_matrix_sync(sums + (row + kFragment * i) * kSumsRow + column + kFragment * j, tile[i][j], kSumsRow,
                              wmma::mem_row_major);
  __syncthreads();
  for (int i = threadIdx.x; i < kBlockTokens * kBlockOutputs; i += 32 * kWarps) {
    const int r = i / kBlockOutputs, c = i % kBlockOutputs;
    write(n, first_token + r, first_output + c, sums[r * kSumsRow + c]);
  }
}

// Scores of one query become weights of its keys, relative to the largest; one warp. Returns the sum of the weights.
template <class S>
__device__ inline float soften(const float* scores, S* weights, int64_t tokens, int64_t padded_tokens) {
  const int lane = threadIdx.x % 32;
  float max = -HUGE_VALF, sum = 0;
  for (int64_t key = lane; key < tokens; key += 32) max = fmaxf(max, scores[key]);
#pragma unroll
  for (int step = 16; step > 0; step /= 2) max = fmaxf(max, __shfl_xor_sync(~0u, max, step));
  for (int64_t key = lane; key < padded_tokens; key += 32) {
    weights[key] = narrow<S>(key < tokens ? expf(scores[key] - max) : 0.0f);
    sum += widen(weights[key]);  // as rounded, so that the weights sum to one
  }
  return sum_lanes(sum);
}

// Attention of 16 queries of one head to all keys; the block's warps share the keys.
template <class S, int kSize>
__global__ void __launch_bounds__(32 * kWarps)
    attend(const S* qkv, S* mixed, int64_t tokens, int64_t padded_tokens, int64_t channels, int64_t score_bytes) {
  constexpr int kPieces = kSize / kFragment;
  extern __shared__ __align__(32) unsigned char memory[];
  float* scores = reinterpret_cast<float*>(memory);
  S* weights = reinterpret_cast<S*>(memory + score_bytes);
  __shared__ float sums[kFragment];
  const int64_t score_row = padded_tokens + 4, weight_row = padded_tokens + 8;
  const int64_t heads = gridDim.y, head = blockIdx.y, n = blockIdx.z, first = int64_t(blockIdx.x) * kFragment;
  const int64_t matrix = padded_tokens * kSize;
  const S* q = qkv + (n * 3 * heads + head) * matrix + first * kSize;
  const S* k = qkv + (n * 3 * heads + heads + head) * matrix;
  const S* v = qkv + (n * 3 * heads + 2 * heads + head) * matrix;
  const int warp = threadIdx.x / 32;

  for (int64_t key = warp * kFragment; key < padded_tokens; key += kWarps * kFragment) {
    Accumulator tile;
    wmma::fill_fragment(tile, 0.0f);
#pragma unroll
    for (int piece = 0; piece < kPieces; ++piece) {
      FragmentA<S> of_q;
      FragmentB<S, wmma::col_major> of_k;
      wmma::load_matrix_sync(of_q, q + piece * kFragment, kSize);
      wmma::load_matrix_sync(of_k, k + key * kSize + piece * kFragment, kSize);
      wmma::mma_sync(tile, of_q, of_k, tile);
    }
    wmma::store_matrix_sync(scores + key, tile, unsigned(score_row), wmma::mem_row_major);
  }
  __syncthreads();
  for (int query = warp; query < kFragment; query += kWarps) {
    const float sum = soften(scores + query * score_row, weights + query * weight_row, tokens, padded_tokens);
    if (threadIdx.x % 32 == 0) sums[query] = sum;
  }
  __syncthreads();
  Accumulator out[kPieces];
#pragma unroll
  for (int piece = 0; piece < kPieces; ++piece) wmma::fill_fragment(out[piece], 0.0f);
  for (int64_t key = warp * kFragment; key < padded_tokens; key += kWarps * kFragment) {
    FragmentA<S> of_weights;
    wmma::load_matrix_sync(of_weights, weights + key, unsigned(weight_row));
#pragma unroll
    for (int piece = 0; piece < kPieces; ++piece) {
      FragmentB<S, wmma::row_major> of_v;
      wmma::load_matrix_sync(of_v, v + key * kSize + piece * kFragment, kSize);
      wmma::mma_sync(out[piece], of_weights, of_v, out[piece]);
    }
  }
  // The scores' memory takes what each warp has summed over its keys.
#pragma unroll
  for (int piece = 0; piece < kPieces; ++piece)
    wmma::store_matrix_sync(scores + warp * kFragment * kSize + piece * kFragment, out[piece], kSize,
                            wmma::mem_row_major);
  __syncthreads();
  for (int i = threadIdx.x; i < kFragment * kSize; i += 32 * kWarps) {
    const int64_t token = first + i / kSize;
    if (token >= tokens) continue;
    float sum = 0;
    for (int w = 0; w < kWarps; ++w) sum += scores[w * kFragment * kSize + i];
    mixed[(n * tokens + token) * channels + head * kSize + i % kSize] = narrow<S>(sum / sums[i / kSize]);
  }
}

// --- launchers -----------------------------------------------------------------------------------------------------

int64_t score_bytes(int64_t tokens, int64_t size) {
  return most(kFragment * (padded(tokens) + 4), kWarps * kFragment * size) * int64_t(sizeof(float));
}
int64_t on_chip_bytes(int64_t tokens, int64_t size) {
  return score_bytes(tokens, size) + kFragment * (padded(tokens) + 8) * 2;
}

// Working memory, one array after the other, each on a border of 256 bytes.
struct Workspace {
  GroupNormForward norm;
  char *norm_memory, *qkv, *mixed;
  int64_t bytes = 0;

  Workspace(const AttentionForward& a, void* memory) {
    norm = {{a.samples, a.channels, a.voxels, a.groups, true}, a.storage, a.eps, a.x, a.norm_weight, a.norm_bias,
            nullptr, nullptr, nullptr, nullptr, nullptr, nullptr};
    const auto take = [&](int64_t count) {
      char* here = static_cast<char*>(memory) + bytes;
      bytes += quotient_up(count, 256) * 256;
      return here;
    };
    norm_memory = take(group_norm_workspace(norm.shape, a.storage));
    norm.mean = take(a.samples * a.groups * 4);
    norm.rstd = take(a.samples * a.groups * 4);
    qkv = take(a.samples * 3 * a.channels * padded(a.voxels) * 2);
    mixed = take(a.samples * a.channels * a.voxels * 2);
  }
};

template <class S, int kSize>
void launch_attend(const AttentionForward& a, const Workspace& work, cudaStream_t stream) {
  const auto kernel = attend<S, kSize>;
  const int64_t bytes = on_chip_bytes(a.voxels, kSize);
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(kScoresOnChip)), "shared memory");
  const dim3 grid(unsigned(padded(a.voxels) / kFragment), unsigned(a.heads), unsigned(a.samples));
  kernel<<<grid, 32 * kWarps, size_t(bytes), stream>>>(reinterpret_cast<const S*>(work.qkv),
                                                       reinterpret_cast<S*>(work.mixed), a.voxels, padded(a.voxels),
                                                       a.channels, score_bytes(a.voxels, kSize));
}

template <class S>
void run_as(const AttentionForward& a, void* memory, cudaStream_t stream) {
  const Workspace work(a, memory);
  const auto parameter = [](const void* values) { return static_cast<const float*>(values); };
  const S* x = static_cast<const S*>(a.x);
  const int64_t size = a.channels / a.heads;
  const Affine<float>* affine = group_norm_affine<S>(work.norm, work.norm_memory, stream);
  const auto grid = [&](int64_t outputs) {
    return dim3(unsigned(quotient_up(a.voxels, kBlockTokens)), unsigned(quotient_up(outputs, kBlockOutputs)),
                unsigned(a.samples));
  };
  project<S><<<grid(3 * a.channels), 32 * kWarps, 0, stream>>>(
      FromNormalised<S>{x, affine, a.voxels, a.channels},
      ToHeads<S>{reinterpret_cast<S*>(work.qkv), parameter(a.qkv_bias), a.voxels, padded(a.voxels), a.channels, size,
                 1.0f / sqrtf(float(size))},
      parameter(a.qkv_weight), a.voxels, a.channels, 3 * a.channels);
  switch (size) {
    case 16: launch_attend<S, 16>(a, work, stream); break;
    case 32: launch_attend<S, 32>(a, work, stream); break;
    case 64: launch_attend<S, 64>(a, work, stream); break;
    case 128: launch_attend<S, 128>(a, work, stream); break;
  }
  project<S><<<grid(a.channels), 32 * kWarps, 0, stream>>>(
      FromMixed<S>{reinterpret_cast<const S*>(work.mixed), a.voxels, a.channels},
      ToResult<S>{x, static_cast<S*>(a.y), parameter(a.proj_bias), a.voxels, a.channels}, parameter(a.proj_weight),
      a.voxels, a.channels, a.channels);
}

}  // namespace

int64_t attention_workspace(const AttentionForward& args) { return Workspace(args, nullptr).bytes; }

bool attention_fits(const AttentionForward& a) {
  const int64_t size = a.channels / a.heads;
  return (a.storage == Storage::bfloat16 || a.storage == Storage::float16) && a.samples < 65536 &&
         (size == 16 || size == 32 || size == 64 || size == 128) && on_chip_bytes(a.voxels, size) <= kScoresOnChip;
}

void attention_forward(const AttentionForward& args, void* workspace, void* stream) {
  if (args.samples * args.voxels == 0) return;
  const auto on = static_cast<cudaStream_t>(stream);
  if (args.storage == Storage::float16)
    run_as<__half>(args, workspace, on);
  else
    run_as<__nv_bfloat16>(args, workspace, on);
  check(cudaGetLastError(), "attention_3d");
}

}  // namespace cuda
}  // namespace dispr
