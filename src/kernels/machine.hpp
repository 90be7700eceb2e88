// What the kernels know of the machine: instructions that not every processor has, and threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
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
// another process keeps busy does less. Nobody waits for a thread that has not begun when all parts are taken: it finds
// nothing to do, whenever that is, and looks at nothing but the turns.
template <typename Work>
void in_parallel(int64_t parts, int64_t threads, const Work& work) {
  struct Turns {
    std::atomic<int64_t> next{0}, done{0};
  };
  const auto turns = std::make_shared<Turns>();
  const auto run = [turns, parts, work = &work] {
    for (int64_t part = turns->next++; part < parts; part = turns->next++) {
      (*work)(part);
      ++turns->done;
    }
  };
  for (int64_t i = 1; i < std::min(threads, parts); ++i) {
    try {
      std::thread(run).detach();
    } catch (...) {
      break;  // No thread to be had: those that run do all.
    }
  }
  run();
  while (turns->done < parts) std::this_thread::yield();
}

}  // namespace vmem
