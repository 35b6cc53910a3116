// The arithmetic that CPU and CUDA kernels share, tried on the CPU: joining moments, the online softmax, normal numbers
// from counters, and the walk of blocks and threads over a tensor. Prints what failed; exits with the number of failures.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "../kernels/moments.h"
#include "../kernels/online_softmax.h"
#include "../kernels/random.h"
#include "../kernels/walk.h"

namespace {

using namespace dispr;

int failures = 0;

void expect(bool holds, const char* sentence) {
  if (holds) return;
  std::printf("failed: %s\n", sentence);
  ++failures;
}

bool close(double a, double b, double tolerance) { return std::fabs(a - b) <= tolerance * (1 + std::fabs(b)); }

Moments<double> two_pass(const std::vector<double>& x) {
  double mean = 0, m2 = 0;
  for (double v : x) mean += v / double(x.size());
  for (double v : x) m2 += (v - mean) * (v - mean);
  return {double(x.size()), mean, m2};
}

template <class T>
Moments<T> one_by_one(const std::vector<double>& x, size_t begin, size_t end) {
  Moments<T> all{0, 0, 0};
  for (size_t i = begin; i < end; ++i) all = merge(all, Moments<T>{1, T(x[i]), 0});
  return all;
}

void moments() {
  std::mt19937 random(1);
  std::normal_distribution<double> normal(1e3, 1);
  std::vector<double> x(1000);
  for (double& v : x) v = float(normal(random));
  const Moments<double> truth = two_pass(x);
  const Moments<double> welford = one_by_one<double>(x, 0, x.size());
  expect(close(welford.mean, truth.mean, 1e-13) && close(welford.m2, truth.m2, 1e-10), "one number after the other gives the two-pass moments");
  const Moments<float> welford_float = one_by_one<float>(x, 0, x.size());
  expect(close(welford_float.m2, truth.m2, 1e-4), "in float, a spread of 1 about a mean of 1000 keeps four digits");
  for (size_t cut : {size_t(0), size_t(1), size_t(137), size_t(999), x.size()}) {
    const Moments<double> joined = merge(one_by_one<double>(x, 0, cut), one_by_one<double>(x, cut, x.size()));
    expect(joined.count == 1000 && close(joined.mean, truth.mean, 1e-13) && close(joined.m2, truth.m2, 1e-10),
           "two joined sets, one of them perhaps empty, have the moments of the whole");
  }
  const Moments<float> empty = merge(Moments<float>{0, 0, 0}, Moments<float>{0, 0, 0});
  expect(empty.count == 0 && empty.mean == 0 && empty.m2 == 0, "two empty sets join without a division by zero");
}

void softmax() {
  std::mt19937 random(2);
  std::normal_distribution<double> normal(0, 30);
  std::vector<double> scores(257);
  for (double& v : scores) v = normal(random);
  double max = -HUGE_VAL, sum = 0;
  for (double v : scores) max = v > max ? v : max;
  for (double v : scores) sum += std::exp(v - max);
  const auto take_in = [](auto state, auto score) {
    const auto highest = state.max < score ? score : state.max;
    return decltype(state){highest, state.sum * rescaling(state.max, highest) + std::exp(score - highest)};
  };
  SoftmaxState<double> online = no_scores<double>();
  for (double v : scores) online = take_in(online, v);
  expect(online.max == max && close(online.sum, sum, 1e-13), "scores taken in one by one give the softmax of all");
  expect(rescaling(-HUGE_VAL, -HUGE_VAL) == 1, "where no score has come yet, nothing is rescaled, to no NaN");
  const SoftmaxState<float> far = take_in(SoftmaxState<float>{-3e38f, 1}, 3e38f);
  expect(far.max == 3e38f && far.sum == 1, "scores at both ends of float's range do not overflow");
}

// Every element must be walked once, by one thread, as a part of the sample and column it belongs to.
void walks(const View& view, int64_t elements, int64_t threads) {
  std::vector<int> seen(size_t(elements), 0);
  bool inside = true, in_column = true;
  for (int64_t block = 0; block < view.blocks(); ++block)
    for (int64_t thread = 0; thread < threads; ++thread) {
      const Walk way = walk(view, block, thread, threads);
      if (!way.active) continue;
      for (int64_t row = way.row; row < way.last; row += way.step)
        for (int64_t j = 0; j < view.width; ++j) {
          const int64_t at = view.offset(way.sample, row, way.column) + j;
          inside = inside && at >= 0 && at < elements;
          in_column = in_column && at / view.width % view.columns == way.column &&
                      at / (view.width * view.columns * view.rows) == way.sample;
          if (at >= 0 && at < elements) ++seen[size_t(at)];
        }
    }
  bool once = true;
  for (int count : seen) once = once && count == 1;
  expect(inside, "no thread leaves the tensor");
  expect(in_column, "a thread stays in its sample and column");
  expect(once, "every element is walked exactly once");
}

void views() {
  const int64_t threads = 256;
  for (bool channels_last : {false, true})
    for (const GroupNormShape& s : {GroupNormShape{2, 64, 343, 8, channels_last},
                                    GroupNormShape{3, 48, 512, 6, channels_last},
                                    GroupNormShape{1, 600, 40, 4, channels_last},
                                    GroupNormShape{1, 24, 9000, 3, channels_last},
                                    GroupNormShape{5, 7, 1, 7, channels_last},
                                    GroupNormShape{2, 2100, 8, 1, channels_last}})
      for (int64_t width : {1, 2, 4, 8}) {
        const int64_t divisible = channels_last ? s.channels / s.groups : s.voxels;
        if (divisible % width != 0) continue;
        const int64_t elements = s.samples * s.channels * s.voxels;
        walks(moments_view(s, width, threads), elements, threads);
        walks(channels_view(s, width, threads), elements, threads);
        GroupNormShape alone = s;
        alone.samples = 1;
        expect(channels_view(alone, width, threads).parts == channels_view(s, width, threads).parts,
               "a sample is cut the same way in any batch");
      }
}

struct NumberLanes {
  using Float = float;
  using Int = int32_t;
  using Word = uint32_t;
  static float number(int32_t v) { return float(v); }
  static int32_t bits(float v) {
    int32_t word;
    std::memcpy(&word, &v, sizeof word);
    return word;
  }
  static float from_bits(int32_t v) {
    float number;
    std::memcpy(&number, &v, sizeof number);
    return number;
  }
};

void normal_numbers() {
  // numpy.random.Philox(key=0x123456789abcdef0fedcba9876543210).random_raw(8)
  const uint64_t expected[8] = {0x4d3a6da236f90e99, 0x60fb5d250d541e37, 0xba7a85b3bcdf5f1a, 0xa4a602d40b26defc,
                                0x82cfb18692ea163e, 0x216314e1025fce6a, 0xd4e77819c75b828c, 0x1ad83d83d694090b};
  bool same = true;
  for (uint64_t i = 0; i < 8; ++i)
    same = same && philox(0xfedcba9876543210, 0x123456789abcdef0, i / 4).words[i % 4] == expected[i];
  expect(same, "random bits are those of NumPy's Philox");

  std::mt19937 generator(3);
  double worst = 0;
  for (int i = 0; i < 100000; ++i) {
    const uint32_t ends[] = {0, 1, 0x7fffffff, 0x80000000, 0xdfffffff, 0xe0000000, 0xffffffff};
    const uint32_t low = i < 49 ? ends[i % 7] : generator(), high = i < 49 ? ends[i / 7] : generator();
    const Polar<NumberLanes> point = polar<NumberLanes>(low, high);
    const double uniform = double(float((low >> 1) | 1)) / 2147483648.0;
    const double angle = double(int32_t(high)) * 6.283185307179586 / 4294967296.0;
    for (double error : {point.square / 2 + std::log(uniform), point.cosine - std::cos(angle), point.sine - std::sin(angle)})
      worst = std::fabs(error) > worst ? std::fabs(error) : worst;
    expect(point.square >= 0, "no square is negative");
  }
  expect(worst < 3e-6, "logarithm, cosine and sine are those of the library");
}

}  // namespace

int main() {
  moments();
  softmax();
  views();
  normal_numbers();
  return failures;
}
