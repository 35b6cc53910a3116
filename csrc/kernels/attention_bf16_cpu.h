// The self-attention block in bfloat16, where the processor multiplies it: the sweeps of attention_cpu.h, with every
// factor of a product rounded to bfloat16 and every sum float.
#pragma once

#include "attention_cpu.h"
#include "bf16_products_cpu.h"

#ifdef DISPR_HAS_BF16_PRODUCTS

namespace dispr {
namespace DISPR_ISA {
namespace {

constexpr int64_t kProjectedTokens = 64;  // tokens of one task of a projection
constexpr int64_t kKeysAtOnce = 128;      // keys whose scores are held at once

// Where q, k and v of one sample lie, all in heads of `size` values, filled up with zeros to whole blocks. q: token by
// token. k: panels whose columns are 16 tokens. v: panels whose columns are 16 values.
struct Bf16Heads {
  int64_t channels, depth, heads, size, columns, tokens;

  explicit Bf16Heads(const AttentionForward& a)
      : channels(a.channels), depth(round_up(a.channels, kDepthStep)), heads(a.heads), size(a.channels / a.heads),
        columns(round_up(size, kSide)), tokens(round_up(a.voxels, kSide)) {}

  int64_t head_elements() const { return tokens * columns; }
  int64_t elements() const { return 3 * heads * head_elements(); }
  int64_t start(int64_t kind, int64_t head) const { return (kind * heads + head) * head_elements(); }
};

// Packs weights and biases of q, k and v, each head filled up with zeros.
inline void pack_qkv(const Bf16Heads& h, const float* weight, const float* bias, Bfloat16* panels, float* biases) {
  const int64_t per_head = h.columns / kPanelColumns;
  for (int64_t i = 0; i < 3 * h.heads; ++i) {
    pack_panels(weight + i * h.size * h.channels, h.size, h.channels, per_head, h.depth,
                panels + i * h.columns * h.depth);
    for (int64_t c = 0; c < h.columns; ++c) biases[i * h.columns + c] = c < h.size ? bias[i * h.size + c] : 0;
  }
}

// Tokens of x, normalised and rounded, in rows of `depth`; zeros up to `rows` rows.
inline void normalise_bf16(const Bf16Heads& h, const Bfloat16* x, int64_t count, int64_t rows,
                            const Affine<float>& affine, int64_t table, Bfloat16* to) {
  if (count < rows || h.channels < h.depth)
    for (int64_t i = 0; i < rows * h.depth; ++i) to[i] = Bfloat16{};
  for (int64_t t = 0; t < count; ++t)
    for_each_vector<FloatVector>(h.channels, [&](int64_t c, auto width) {
      const FloatVector centred = load<FloatVector>(x + t * h.channels + c, width) -
                                  load<FloatVector>(affine.centre + table + c, Whole{});
      store(to + t * h.depth + c, centred * load<FloatVector>(affine.gain + table + c, Whole{}) +
                                      load<FloatVector>(affine.offset + table + c, Whole{}), width);
    });
}

// Puts a block of sums, 32 tokens from `token` on by 32 values of a head from `column` on, where it belongs.
inline void place_bf16(const Bf16Heads& h, const float* sums, const float* bias, int64_t kind, int64_t token,
                        int64_t column, Bfloat16* head) {
  const FloatVector bias0 = load<FloatVector>(bias, Whole{}), bias1 = load<FloatVector>(bias + 16, Whole{});
  if (kind == 0) {
    const float factor = float(1 / (kLog2 * std::sqrt(double(h.size))));
    for (int64_t r = 0; r < kSide; ++r)
      store_side_by_side(head + (token + r) * h.columns + column,
                         (load<FloatVector>(sums + r * kSide, Whole{}) + bias0) * factor,
                         (load<FloatVector>(sums + r * kSide + 16, Whole{}) + bias1) * factor);
    return;
  }
  for (int64_t half = 0; half < 2; ++half) {  // of the values
    const FloatVector added = half ? bias1 : bias0;
    for (int64_t group = 0; group < kSide; group += 16) {  // of the tokens
      FloatVector rows[16];
      DISPR_UNROLL_FULLY
      for (int r = 0; r < 16; ++r) rows[r] = load<FloatVector>(sums + (group + r) * kSide + half * 16, Whole{}) + added;
      Bfloat16* to = kind == 1 ? head + (token + group) * h.columns + (column + half * 16) * kPanelColumns
                               : head + (column + half * 16) * h.tokens + (token + group) * kPanelColumns;
      if (kind == 1) transpose(rows);
      DISPR_UNROLL_FULLY
      for (int r = 0; r < 16; r += 2) store_pair(to + r * kPanelColumns, rows[r], rows[r + 1]);
    }
  }
}

// Writes q, k and v of `rows` tokens from `first` on, of which `tokens` holds the normalised values.
inline void project_qkv_bf16(const Bf16Heads& h, const Bfloat16* tokens, int64_t first, int64_t rows,
                              const Bfloat16* panels, const float* biases, Bfloat16* qkv) {
  const Buffer<float> sums(kSide * kSide);
  for (int64_t kind = 0; kind < 3; ++kind)
    for (int64_t head = 0; head < h.heads; ++head)
      for (int64_t column = 0; column < h.columns; column += kSide) {
        const int64_t output = (kind * h.heads + head) * h.columns + column;
        for (int64_t row = 0; row < rows; row += kSide) {
          multiply_block(tokens + row * h.depth, h.depth, panels + output * h.depth, kPanelColumns * h.depth, h.depth,
                         sums + 0, kSide, false);
          place_bf16(h, sums + 0, biases + output, kind, first + row, column, qkv + h.start(kind, head));
        }
      }
}

// The softmax of 16 queries, a lane for each, over the keys met so far: online_softmax.h, and the factor by which what
// was summed before the last keys has to be multiplied.
struct Softmaxes {
  FloatVector max, sum, keep;
};

// Scores of 16 queries and `count` keys, a multiple of 32, become weights in bfloat16.
inline void soften_bf16(const float* scores, int64_t count, Softmaxes& states, Bfloat16* weights) {
  FloatVector rows[16];
  for (int r = 0; r < 16; ++r) {
    const float* of_row = scores + r * kKeysAtOnce;
    FloatVector high0 = load<FloatVector>(of_row, Whole{}), high1 = load<FloatVector>(of_row + 16, Whole{});
    for (int64_t c = 32; c < count; c += 32) {
      high0 = at_least(high0, load<FloatVector>(of_row + c, Whole{}));
      high1 = at_least(high1, load<FloatVector>(of_row + c + 16, Whole{}));
    }
    rows[r] = at_least(high0, high1);
  }
  const FloatVector max = at_least(states.max, join_lanes(rows, [](auto a, auto b) { return at_least(a, b); }));
  for (int r = 0; r < 16; ++r) {
    const FloatVector highest = FloatVector{} + reinterpret_cast<const float*>(&max)[r];
    FloatVector sum0 = {}, sum1 = {};
    for (int64_t c = r * kKeysAtOnce; c < r * kKeysAtOnce + count; c += 32) {
      const FloatVector w0 = exp2_bf16(load<FloatVector>(scores + c, Whole{}) - highest);
      const FloatVector w1 = exp2_bf16(load<FloatVector>(scores + c + 16, Whole{}) - highest);
      store_side_by_side(weights + c, w0, w1);
      sum0 += w0;
      sum1 += w1;
    }
    rows[r] = sum0 + sum1;
  }
  states.keep = exp2_bf16(states.max - max);
  states.sum = states.sum * states.keep + join_lanes(rows, [](auto a, auto b) { return a + b; });
  states.max = max;
}

// Attention of up to 32 queries from `first` on to all keys of one head; `out` receives rows of `depth`.
inline void attend_bf16(const Bf16Heads& h, int64_t voxels, int64_t head, int64_t first, const Bfloat16* qkv,
                         Bfloat16* out) {
  const Bfloat16* q = qkv + h.start(0, head) + first * h.columns;
  const Bfloat16* k = qkv + h.start(1, head);
  const Bfloat16* v = qkv + h.start(2, head);
  const Buffer<float> scores(kSide * kKeysAtOnce), mixed(kSide * h.columns);
  const Buffer<Bfloat16> weights(kSide * kKeysAtOnce);
  Softmaxes states[2] = {{FloatVector{} - HUGE_VALF, {}, {}}, {FloatVector{} - HUGE_VALF, {}, {}}};

  for (int64_t key = 0; key < voxels; key += kKeysAtOnce) {
    const int64_t keys = smaller(kKeysAtOnce, voxels - key), padded = round_up(keys, kSide);
    for (int64_t c = 0; c < padded; c += kSide)
      multiply_block(q, h.columns, k + (key + c) * h.columns, kPanelColumns * h.columns, h.columns, scores + c,
                     kKeysAtOnce, false);
    for (int64_t r = 0; r < kSide; ++r)
      for (int64_t c = keys; c < padded; ++c) scores[r * kKeysAtOnce + c] = -HUGE_VALF;
    for (int64_t half = 0; half < 2; ++half) {
      const int64_t row = half * 16;
      soften_bf16(scores + row * kKeysAtOnce, padded, states[half], weights + row * kKeysAtOnce);
      for (int64_t r = 0; key > 0 && r < 16; ++r)
        for (int64_t c = (row + r) * h.columns; c < (row + r + 1) * h.columns; c += 16)
          store(mixed + c, load<FloatVector>(mixed + c, Whole{}) * states[half].keep[r], Whole{});
    }
    for (int64_t c = 0; c < h.columns; c += kSide)
      multiply_block(weights + 0, kKeysAtOnce, v + c * h.tokens + key * kPanelColumns, kPanelColumns * h.tokens, padded,
                     mixed + c, h.columns, key > 0);
  }
  for (int64_t t = 0; t < smaller(kSide, voxels - first); ++t) {
    const float share = 1 / states[t / 16].sum[t % 16];
    for_each_vector<FloatVector>(h.size, [&](int64_t c, auto width) {
      store(out + (first + t) * h.depth + head * h.size + c,
            load<FloatVector>(mixed + (t * h.columns + c), width) * share, width);
    });
  }
}

// y = x + mixed · projᵀ + bias for `count` tokens; `mixed` has whole blocks of rows.
inline void project_out_bf16(const Bf16Heads& h, int64_t count, const Bfloat16* mixed, const Bfloat16* panels,
                              const float* bias, const Bfloat16* x, Bfloat16* y) {
  const Buffer<float> sums(kSide * kSide);
  for (int64_t column = 0; column < h.channels; column += kSide)
    for (int64_t row = 0; row < count; row += kSide) {
      multiply_block(mixed + row * h.depth, h.depth, panels + column * h.depth, kPanelColumns * h.depth, h.depth,
                     sums + 0, kSide, false);
      for (int64_t r = 0; r < smaller(kSide, count - row); ++r)
        for_each_vector<FloatVector>(smaller(kSide, h.channels - column), [&](int64_t c, auto width) {
          const int64_t at = (row + r) * h.channels + column + c;
          const FloatVector sum = load<FloatVector>(sums + (r * kSide + c), Whole{}) +
                                  load<FloatVector>(bias + column + c, width);
          store(y + at, load<FloatVector>(x + at, width) + sum, width);
        });
    }
}

inline void attention_forward_bf16(const AttentionForward& a, const Parallel& parallel) {
  const auto parameter = [](const void* values) { return static_cast<const float*>(values); };
  const Cut cut(norm_of(a).shape, Lanes<FloatVector>::count);
  const Bf16Heads h(a);
  const Bfloat16* x = static_cast<const Bfloat16*>(a.x);
  Bfloat16* y = static_cast<Bfloat16*>(a.y);

  const int64_t outputs = round_up(a.channels, kSide);
  const Buffer<Bfloat16> qkv_panels(3 * h.heads * h.columns * h.depth), proj_panels(outputs * h.depth);
  const Buffer<float> biases(3 * h.heads * h.columns);
  pack_qkv(h, parameter(a.qkv_weight), parameter(a.qkv_bias), qkv_panels + 0, biases + 0);
  pack_panels(parameter(a.proj_weight), a.channels, a.channels, outputs / kPanelColumns, h.depth, proj_panels + 0);

  const int64_t together = smaller(a.samples, larger(1, kProjectedElements / larger(1, h.elements())));
  const int64_t sample = a.voxels * a.channels, mixed_step = h.tokens * h.depth;
  const int64_t parts = ceil_div(a.voxels, kProjectedTokens), blocks = h.tokens / kSide;
  const Buffer<Bfloat16> qkv(together * h.elements()), mixed(together * mixed_step);
  if (h.channels < h.depth)  // what fills up a row meets zeros, and zero times anything must be zero
    for (int64_t i = 0; i < together * mixed_step; ++i) mixed[i] = Bfloat16{};
  const Affine<float> affine(a.samples * cut.stride);
  const Buffer<double> mean(cut.partials()), m2(cut.partials());

  for (int64_t start = 0; start < a.samples; start += together) {
    const int64_t here = smaller(together, a.samples - start);
    prepare<FloatVector, Bfloat16>(norm_of(a), cut, start, here, affine, mean, m2, parallel);
    parallel_for(parallel, here * parts, kProjectedTokens * a.channels * 4, [&](int64_t task) {
      const int64_t n = task / parts, first = task % parts * kProjectedTokens;
      const int64_t count = smaller(kProjectedTokens, a.voxels - first), rows = round_up(count, kSide);
      const Tiles tiles;
      const Buffer<Bfloat16> tokens(kProjectedTokens * h.depth);
      normalise_bf16(h, x + (start + n) * sample + first * a.channels, count, rows, affine, cut.table(start + n),
                      tokens + 0);
      project_qkv_bf16(h, tokens + 0, first, rows, qkv_panels + 0, biases + 0, qkv + n * h.elements());
    });
    parallel_for(parallel, here * h.heads * blocks, kSide * a.voxels, [&](int64_t task) {
      const int64_t n = task / (h.heads * blocks), head = task / blocks % h.heads, first = task % blocks * kSide;
      const Tiles tiles;
      attend_bf16(h, a.voxels, head, first, qkv + n * h.elements(), mixed + n * mixed_step);
    });
    parallel_for(parallel, here * parts, kProjectedTokens * a.channels * 2, [&](int64_t task) {
      const int64_t n = task / parts, first = task % parts * kProjectedTokens;
      const int64_t at = (start + n) * sample + first * a.channels;
      const Tiles tiles;
      project_out_bf16(h, smaller(kProjectedTokens, a.voxels - first), mixed + (n * mixed_step + first * h.depth),
                        proj_panels + 0, parameter(a.proj_bias), x + at, y + at);
    });
  }
}

}  // namespace
}  // namespace DISPR_ISA
}  // namespace dispr

#endif
