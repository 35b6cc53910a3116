// The self-attention block on the CPU: the text that is compiled once per instruction set.
//
// Four sweeps over fixed blocks of tokens: moments of the group norm; normalise and project to q, k and v; attention
// by blocks of keys with the softmax taken online (Dao et al. 2022), so that no score ever leaves the level-1 cache;
// output projection and residual. All sums are float, or double for float64.
#pragma once

#include "attention.h"
#include "group_norm_cpu.h"
#include "matmul_cpu.h"
#include "online_softmax.h"

namespace dispr {
namespace DISPR_ISA {
namespace {

constexpr int64_t kTokens = 8 * kRows;  // tokens of one task
constexpr double kLog2 = 0.69314718055994531;  // scores are exponents of 2, which saves a product in each exponential
constexpr int64_t kProjectedElements = 1 << 20;  // of queries, keys and values held between the projections
constexpr int64_t kKeys = 384;          // keys whose scores are held at once

// Where q, k and v of one sample lie. q: token by token. k: panels of kColumns tokens, so that it is the right-hand
// side of q kᵀ. v: panels of kColumns channels, so that it is the right-hand side of p v.
template <class V>
struct Heads {
  int64_t channels, voxels, heads, size, k_panels, v_panels, q_step, k_step, v_step;

  explicit Heads(const AttentionForward& a)
      : channels(a.channels), voxels(a.voxels), heads(a.heads), size(a.channels / a.heads),
        k_panels(ceil_div(a.voxels, kColumns<V>)), v_panels(ceil_div(size, kColumns<V>)),
        q_step((a.voxels + kRows) * size), k_step(k_panels * kColumns<V> * size),
        v_step(v_panels * kColumns<V> * a.voxels) {}

  int64_t elements() const { return heads * (q_step + k_step + v_step); }
  int64_t k_start() const { return heads * q_step; }
  int64_t v_start() const { return k_start() + heads * k_step; }
};

// Where one output column of the qkv projection goes: to start + (token's offset in q, k or v).
template <class V>
struct Column {
  int64_t kind, start;
  ScalarOf<V> factor;

  Column(const Heads<V>& h, int64_t column) : kind(column / h.channels), factor(1) {
    const int64_t head = column % h.channels / h.size, j = column % h.channels % h.size;
    if (kind == 0) {
      start = head * h.q_step + j;
      factor = ScalarOf<V>(1 / (kLog2 * std::sqrt(double(h.size))));
    } else if (kind == 1) {
      start = h.k_start() + head * h.k_step + j * kColumns<V>;
    } else {
      start = h.v_start() + head * h.v_step + j / kColumns<V> * kColumns<V> * h.voxels + j % kColumns<V>;
    }
  }
};

template <class V>
inline int64_t token_offset(const Heads<V>& h, int64_t kind, int64_t token) {
  if (kind == 0) return token * h.size;
  if (kind == 1) return token / kColumns<V> * kColumns<V> * h.size + token % kColumns<V>;
  return token * kColumns<V>;
}

// Tokens [first, first + count) of x, normalised; rows of zeros up to a whole number of tiles.
template <class V, class S>
inline void normalise(const S* x, int64_t count, int64_t channels, const Affine<ScalarOf<V>>& affine, int64_t table,
                      ScalarOf<V>* to) {
  for (int64_t t = 0; t < count; ++t)
    for_each_vector<V>(channels, [&](int64_t c, auto width) {
      const V centred = load<V>(x + t * channels + c, width) - load<V>(affine.centre + table + c, Whole{});
      const V value = centred * load<V>(affine.gain + table + c, Whole{}) + load<V>(affine.offset + table + c, Whole{});
      store(to + t * channels + c, value, width);
    });
  for (int64_t i = count * channels; i < round_up(count, kRows) * channels; ++i) to[i] = 0;
}

// Puts a tile of the projection, `rows` tokens by `columns` outputs from `start` on, where it belongs.
template <class V>
inline void place(const Heads<V>& h, const ScalarOf<V>* values, int64_t token, int64_t rows, int64_t start,
                  int64_t columns, const ScalarOf<V>* bias, ScalarOf<V>* qkv) {
  const Column<V> first(h, start);
  if (first.kind != 1 && h.size % kColumns<V> == 0) {  // whole rows of q or v lie side by side
    for (int64_t r = 0; r < rows; ++r)
      for_each_vector<V>(columns, [&](int64_t c, auto width) {
        const V sum = load<V>(values + r * kColumns<V> + c, width) + load<V>(bias + start + c, width);
        store(qkv + first.start + token_offset(h, first.kind, token + r) + c, sum * first.factor, width);
      });
    return;
  }
  for (int64_t c = 0; c < columns; ++c) {
    const Column<V> column(h, start + c);
    for (int64_t r = 0; r < rows; ++r)
      qkv[column.start + token_offset(h, column.kind, token + r)] =
          (values[r * kColumns<V> + c] + bias[start + c]) * column.factor;
  }
}

// Writes q, k and v of the tokens [first, first + count) of a sample.
template <class V>
inline void project_qkv(const Heads<V>& h, const ScalarOf<V>* tokens, int64_t first, int64_t count,
                        const ScalarOf<V>* panels, const ScalarOf<V>* bias, ScalarOf<V>* qkv) {
  constexpr int64_t columns = kColumns<V>;
  for (int64_t start = 0; start < 3 * h.channels; start += columns)
    for (int64_t row = 0; row < count; row += kRows) {
      Tile<V> tile{};
      multiply(tile, tokens + row * h.channels, h.channels, panels + start * h.channels, h.channels);
      ScalarOf<V> values[kRows * columns];
      store_tile(tile, values, columns);
      place(h, values, first + row, smaller(kRows, count - row), start, smaller(columns, 3 * h.channels - start), bias,
            qkv);
    }
}

// Scores become exponentials relative to their row's largest; returns the row's state with them taken in, and scales
// what was summed before by `keep`.
template <class V>
inline SoftmaxState<ScalarOf<V>> soften(ScalarOf<V>* scores, int64_t count, SoftmaxState<ScalarOf<V>> state,
                                        ScalarOf<V>& keep) {
  using T = ScalarOf<V>;
  constexpr int64_t L = Lanes<V>::count;
  V highest = V{} + state.max, sum = {};
  for (int64_t c = 0; c < count; c += L) highest = at_least(highest, load<V>(scores + c, Whole{}));
  T max = state.max;
  for (int64_t i = 0; i < L; ++i) {
    const T lane = reinterpret_cast<const T*>(&highest)[i];
    max = lane > max ? lane : max;
  }
  DISPR_UNROLL
  for (int64_t c = 0; c < count; c += L) {
    const V weight = exp2_lanes<true>(load<V>(scores + c, Whole{}) - max);
    store(scores + c, weight, Whole{});
    sum += weight;
  }
  keep = rescaling(state.max, max, T(kLog2));
  return {max, state.sum * keep + T(sum_of_lanes(sum))};
}

// Attention of up to kTokens queries to all keys of one head; `out` receives rows of `channels`.
template <class V>
inline void attend(const Heads<V>& h, int64_t head, int64_t first, int64_t count, const ScalarOf<V>* qkv,
                   ScalarOf<V>* out) {
  using T = ScalarOf<V>;
  constexpr int64_t columns = kColumns<V>;
  const T* q = qkv + head * h.q_step + first * h.size;
  const T* k = qkv + h.k_start() + head * h.k_step;
  const T* v = qkv + h.v_start() + head * h.v_step;
  const int64_t width = h.v_panels * columns;
  const Buffer<T> scores(kRows * kKeys), mixed(kTokens * width);
  SoftmaxState<T> states[kTokens];
  for (int64_t t = 0; t < kTokens; ++t) states[t] = no_scores<T>();
  for (int64_t i = 0; i < kTokens * width; ++i) mixed[i] = 0;

  for (int64_t key = 0; key < h.voxels; key += kKeys) {
    const int64_t keys = smaller(kKeys, h.voxels - key), padded = round_up(keys, columns);
    for (int64_t row = 0; row < count; row += kRows) {
      for (int64_t c = 0; c < padded; c += columns) {
        Tile<V> tile{};
        multiply(tile, q + row * h.size, h.size, k + (key + c) * h.size, h.size);
        store_tile(tile, scores + c, kKeys);
      }
      for (int64_t r = 0; r < kRows; ++r) {
        for (int64_t c = keys; c < padded; ++c) scores[r * kKeys + c] = -static_cast<T>(HUGE_VAL);
        T keep;
        states[row + r] = soften<V>(scores + r * kKeys, padded, states[row + r], keep);
        if (keep != T(1))
          for_each_vector<V>(width, [&](int64_t c, auto w) {
            T* at = mixed + ((row + r) * width + c);
            store(at, load<V>(at, w) * keep, w);
          });
      }
      for (int64_t panel = 0; panel < h.v_panels; ++panel) {
        T* at = mixed + (row * width + panel * columns);
        Tile<V> tile;
        load_tile(tile, at, width);
        multiply(tile, scores + 0, kKeys, v + (panel * h.voxels + key) * columns, keys);
        store_tile(tile, at, width);
      }
    }
  }
  for (int64_t t = 0; t < count; ++t)
    for (int64_t j = 0; j < h.size; ++j)
      out[(first + t) * h.channels + head * h.size + j] = mixed[t * width + j] / states[t].sum;
}

// y = x + mixed · projᵀ + bias for `count` tokens.
template <class V, class S>
inline void project_out(int64_t channels, int64_t count, const ScalarOf<V>* mixed, const ScalarOf<V>* panels,
                        const ScalarOf<V>* bias, const S* x, S* y) {
  constexpr int64_t columns = kColumns<V>;
  for (int64_t start = 0; start < channels; start += columns)
    for (int64_t row = 0; row < count; row += kRows) {
      Tile<V> tile{};
      multiply(tile, mixed + row * channels, channels, panels + start * channels, channels);
      ScalarOf<V> values[kRows * columns];
      store_tile(tile, values, columns);
      for (int64_t r = 0; r < smaller(kRows, count - row); ++r)
        for_each_vector<V>(smaller(columns, channels - start), [&](int64_t c, auto width) {
          const int64_t at = (row + r) * channels + start + c;
          const V sum = load<V>(values + r * columns + c, width) + load<V>(bias + start + c, width);
          store(y + at, load<V>(x + at, width) + sum, width);
        });
    }
}

// The norm at the block's beginning.
inline GroupNormForward norm_of(const AttentionForward& a) {
  return {{a.samples, a.channels, a.voxels, a.groups, true}, a.storage, a.eps, a.x, a.norm_weight, a.norm_bias,
          nullptr, nullptr, nullptr, nullptr, nullptr, nullptr};
}

template <class V, class S>
void attention_forward_as(const AttentionForward& a, const Parallel& parallel) {
  using T = ScalarOf<V>;
  const auto parameter = [](const void* values) { return static_cast<const T*>(values); };
  const Cut cut(norm_of(a).shape, Lanes<V>::count);
  const Heads<V> h(a);
  const S* x = static_cast<const S*>(a.x);
  S* y = static_cast<S*>(a.y);

  const Buffer<T> qkv_panels(round_up(3 * a.channels, kColumns<V>) * a.channels);
  const Buffer<T> proj_panels(round_up(a.channels, kColumns<V>) * a.channels);
  pack_outputs<V>(parameter(a.qkv_weight), 3 * a.channels, a.channels, qkv_panels + 0);
  pack_outputs<V>(parameter(a.proj_weight), a.channels, a.channels, proj_panels + 0);

  const int64_t together = smaller(a.samples, larger(1, kProjectedElements / larger(1, h.elements())));
  const int64_t blocks = ceil_div(a.voxels, kTokens), sample = a.voxels * a.channels;
  const int64_t mixed_step = sample + kRows * a.channels;  // a tile may read rows past the last token
  const Buffer<T> qkv(together * h.elements()), mixed(together * mixed_step);  // what no token fills, no result uses
  const Affine<T> affine(a.samples * cut.stride);
  const Buffer<double> mean(cut.partials()), m2(cut.partials());

  for (int64_t start = 0; start < a.samples; start += together) {
    const int64_t here = smaller(together, a.samples - start);
    prepare<V, S>(norm_of(a), cut, start, here, affine, mean, m2, parallel);
    parallel_for(parallel, here * blocks, kTokens * a.channels * 16, [&](int64_t task) {
      const int64_t n = task / blocks, first = task % blocks * kTokens, count = smaller(kTokens, a.voxels - first);
      const Buffer<T> tokens(kTokens * a.channels);
      normalise<V>(x + (start + n) * sample + first * a.channels, count, a.channels, affine, cut.table(start + n),
                   tokens + 0);
      project_qkv<V>(h, tokens + 0, first, count, qkv_panels + 0, parameter(a.qkv_bias), qkv + n * h.elements());
    });
    parallel_for(parallel, here * h.heads * blocks, kTokens * a.voxels, [&](int64_t task) {
      const int64_t n = task / (h.heads * blocks), first = task % blocks * kTokens;
      attend<V>(h, task / blocks % h.heads, first, smaller(kTokens, a.voxels - first), qkv + n * h.elements(),
                mixed + n * mixed_step);
    });
    parallel_for(parallel, here * blocks, kTokens * a.channels * 8, [&](int64_t task) {
      const int64_t n = task / blocks, first = task % blocks * kTokens, count = smaller(kTokens, a.voxels - first);
      const int64_t at = (start + n) * sample + first * a.channels;
      project_out<V>(a.channels, count, mixed + (n * mixed_step + first * a.channels), proj_panels + 0,
                     parameter(a.proj_bias), x + at, y + at);
    });
  }
}

}  // namespace
}  // namespace DISPR_ISA
}  // namespace dispr
