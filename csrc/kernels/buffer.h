// Working memory that is kept for the next call: memory fresh from the operating system costs more to touch for the
// first time than some kernels cost altogether.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace dispr {
namespace DISPR_ISA {
namespace {

// The blocks a thread has given back, at most kBlocks of them and never small ones, which malloc keeps itself.
class Pool {
 public:
  struct Block {
    void* memory;
    size_t bytes;
  };

  Block take(size_t bytes) {
    int best = -1;
    for (int i = 0; i < count_; ++i)
      if (free_[i].bytes >= bytes && free_[i].bytes <= 2 * bytes && (best < 0 || free_[i].bytes < free_[best].bytes))
        best = i;
    if (best >= 0) {
      const Block found = free_[best];
      for (int i = best + 1; i < count_; ++i) free_[i - 1] = free_[i];
      --count_;
      return found;
    }
    const size_t whole = (bytes + 63) / 64 * 64;
    void* memory = std::aligned_alloc(64, whole);
    if (!memory) throw std::bad_alloc();
    return {memory, whole};
  }

  void give(Block block) {
    if (block.bytes < kSmall) return std::free(block.memory);
    if (count_ == kBlocks) {  // the one not wanted for the longest time goes
      std::free(free_[0].memory);
      for (int i = 1; i < count_; ++i) free_[i - 1] = free_[i];
      --count_;
    }
    free_[count_++] = block;
  }

  ~Pool() {
    while (count_ > 0) std::free(free_[--count_].memory);
  }

  static Pool& of_this_thread() {
    static thread_local Pool pool;
    return pool;
  }

 private:
  static constexpr int kBlocks = 24;
#ifdef __SANITIZE_ADDRESS__
  static constexpr size_t kSmall = SIZE_MAX;  // a block larger than asked for would hide a step too far
#else
  static constexpr size_t kSmall = 4 * 1024;
#endif
  Block free_[kBlocks];
  int count_ = 0;
};

// `count` elements, aligned to cache lines and not initialised.
template <class T>
class Buffer {
 public:
  explicit Buffer(int64_t count) : block_(Pool::of_this_thread().take(static_cast<size_t>(count) * sizeof(T) + 1)) {}
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { Pool::of_this_thread().give(block_); }
  T* operator+(int64_t offset) const { return static_cast<T*>(block_.memory) + offset; }
  T& operator[](int64_t i) const { return static_cast<T*>(block_.memory)[i]; }

 private:
  Pool::Block block_;
};

}  // namespace
}  // namespace DISPR_ISA
}  // namespace dispr
