// What the kernels know of the machine: instructions that not every processor has, and threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

// A function is compiled twice, with AVX2 and without, and the loader takes what the processor has. So one binary runs
// everywhere, as packages of a distribution must.
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__)
#define VMEM_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define VMEM_CLONES
#endif

// Parts of such functions have to become one with them.
#define VMEM_INLINE inline __attribute__((always_inline))

namespace vmem {

// Calls work(part) for every part below `parts`. Threads take the next part when they are done with one, so a core that
// another process keeps busy does less and nobody waits for it.
template <typename Work>
void in_parallel(int64_t parts, int64_t threads, const Work& work) {
  std::atomic<int64_t> next{0};
  const auto run = [&] {
    for (int64_t part = next++; part < parts; part = next++) work(part);
  };
  std::vector<std::thread> others;
  for (int64_t i = 1; i < std::min(threads, parts); ++i) {
    try {
      others.emplace_back(run);
    } catch (...) {
      break;  // No thread to be had: those that run do all.
    }
  }
  run();
  for (std::thread& other : others) other.join();
}

}  // namespace vmem
