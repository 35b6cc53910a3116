// Random bits from a counter, and normal numbers from them.
#pragma once

#include <cstdint>

namespace dispr {

constexpr int64_t kBlockWords = 4;                      // 64-bit words of one block of random bits
constexpr int64_t kChunkWords = 32;                     // words whose normal numbers stand together:
constexpr int64_t kChunkNormals = 2 * kChunkWords;      // 32 cosines of theirs, then 32 sines
constexpr int64_t kChunkBlocks = kChunkWords / kBlockWords;

struct RandomBlock {
  uint64_t words[kBlockWords];
};

struct Product {
  uint64_t high, low;
};

inline Product product(uint64_t a, uint64_t b) {
  __extension__ typedef unsigned __int128 Wide;
  const Wide whole = Wide(a) * b;
  return {uint64_t(whole >> 64), uint64_t(whole)};
}

// Philox4x64-10 (Salmon et al. 2011, section 3.3): block number `block` of the stream with this key, as numpy.random.
// Philox counts them, whose first block has the counter 1.
inline RandomBlock philox(uint64_t key0, uint64_t key1, uint64_t block) {
  uint64_t c0 = block + 1, c1 = 0, c2 = 0, c3 = 0;
  for (int round = 0; round < 10; ++round) {
    const Product p0 = product(0xD2E7470EE14C6C93u, c0), p1 = product(0xCA5A826395121157u, c2);
    c0 = p1.high ^ c1 ^ key0, c1 = p1.low, c2 = p0.high ^ c3 ^ key1, c3 = p0.low;
    key0 += 0x9E3779B97F4A7C15u, key1 += 0xBB67AE8584CAA73Bu;
  }
  return {{c0, c1, c2, c3}};
}

// What two normal numbers are made of (Box & Muller 1958): the square of their distance from the origin, and their
// direction. `Lanes` names the types (Float, Int and Word, numbers or vectors of 32 bits) and converts between them.
template <class Lanes>
struct Polar {
  typename Lanes::Float square, cosine, sine;
};

template <class Lanes>
inline Polar<Lanes> polar(typename Lanes::Word low, typename Lanes::Word high) {
  using Float = typename Lanes::Float;
  using Int = typename Lanes::Int;
  using Word = typename Lanes::Word;
  // u = m 2^-31 with m odd; m = 2^k (1 + s) with 1 + s between the square roots of 1/2 and 2; ln(1 + s) by the minimax
  // polynomial.
  const Int bits = Lanes::bits(Lanes::number(Int((low >> 1) | 1)));
  const Int k = (bits - 0x3f3504f3) >> 23;
  const Float s = Lanes::from_bits(bits - (k << 23)) - 1.0f;
  Float p = s * -7.97078535e-2f + 1.29695415e-1f;
  p = p * s + -1.31171867e-1f;
  p = p * s + 1.41655698e-1f;
  p = p * s + -1.66252449e-1f;
  p = p * s + 2.00031310e-1f;
  p = p * s + -2.50007570e-1f;
  p = p * s + 3.33333075e-1f;
  p = p * s + -0.5f;
  const Float logarithm = p * (s * s) + s;
  const Float square = (Lanes::number(31 - k) * 0.693147181f - logarithm) * 2.0f;
  // A quarter turn q, and what is left of the angle, at most an eighth of a turn to either side.
  const Int q = Int(high + 0x20000000u) >> 30;
  const Float angle = Lanes::number(Int(high - (Word(q) << 30))) * 1.46291808e-9f;  // 2 pi / 2^32
  const Float a = angle * angle;
  Float cosine = a * 2.44367793e-5f + -1.38873736e-3f;
  cosine = cosine * a + 4.16666477e-2f;
  cosine = cosine * a + -0.5f;
  cosine = cosine * a + 1.0f;
  Float sine = a * -1.95206770e-4f + 8.33220774e-3f;
  sine = sine * a + -1.66666554e-1f;
  sine = sine * (a * angle) + angle;
  const Int odd = -(q & 1), c = Lanes::bits(cosine), d = Lanes::bits(sine);
  const Word sign_c = Word((q + 1) & 2) << 30, sign_d = Word(q & 2) << 30;
  return {square, Lanes::from_bits(Int(Word((c & ~odd) | (d & odd)) ^ sign_c)),
          Lanes::from_bits(Int(Word((d & ~odd) | (c & odd)) ^ sign_d))};
}

}  // namespace dispr
