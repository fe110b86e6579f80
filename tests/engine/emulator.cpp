// The kernels of src/engine/kernels on the CPU, from the same source: blocks come one after the other, and the threads of a block are
// threads, or one thread.
#include <cmath>
#include <condition_variable>
#include <cstddef>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace emulated {
struct Index { int x; };
thread_local Index threadIdx, blockIdx;
Index blockDim, gridDim;
double its_memory[1 << 13];

// Where all threads of a block wait for each other.
class Barrier {
 public:
  explicit Barrier(int threads) : threads(threads) {}
  void wait() {
    std::unique_lock<std::mutex> lock(mutex);
    const long round = rounds;
    if (++waiting == threads) {
      waiting = 0, rounds++;
      all_came.notify_all();
    } else {
      all_came.wait(lock, [&] { return rounds != round; });
    }
  }

 private:
  const int threads;
  int waiting = 0;
  long rounds = 0;
  std::mutex mutex;
  std::condition_variable all_came;
};

Barrier *barrier_of_block = nullptr;
void __syncthreads() {
  if (barrier_of_block) barrier_of_block->wait();
}

template <class F> void for_each_block(int blocks, int threads, const F &f) {
  gridDim.x = blocks, blockDim.x = threads;
  const auto work = [&](int thread) {
    threadIdx.x = thread;
    for (int block = 0; block < blocks; block++) {
      blockIdx.x = block;
      f();
      __syncthreads();
    }
  };
  if (threads == 1) return barrier_of_block = nullptr, work(0);
  Barrier barrier(threads);
  barrier_of_block = &barrier;
  std::vector<std::thread> all;
  for (int thread = 0; thread < threads; thread++) all.emplace_back(work, thread);
  for (auto &thread : all) thread.join();
}

// Calls a kernel with arguments as cuLaunchKernel takes them: the addresses of their values.
template <class... P, size_t... I> void call(void (*kernel)(P...), void **arguments, std::index_sequence<I...>) {
  kernel(*static_cast<std::remove_cv_t<P> *>(arguments[I])...);
}
template <class... P> void launch(void (*kernel)(P...), int blocks, int threads, void **arguments) {
  for_each_block(blocks, threads, [&] { call(kernel, arguments, std::index_sequence_for<P...>()); });
}

#define KERNEL static
#define DEVICE static inline
#define SHARED(name) REAL *name = (REAL *)its_memory
#define RUN(name) \
  if (!strcmp(kernel, #name)) return launch(name, blocks, threads, arguments), true;
#define RUN_ALL                                                                                                          \
  static bool run(const char *kernel, int blocks, int threads, void **arguments) {                                       \
    RUN(planes_forward) RUN(planes_backward) RUN(planes_forward_tangent) RUN(planes_backward_tangent) RUN(augment)       \
    RUN(augment_back) RUN(sgd_step) RUN(student_back) RUN(student_before) return false;                              \
  }

namespace of_floats {
using std::ceil, std::cos, std::floor, std::sin, std::sqrt;
#define REAL float
#include "../../src/engine/kernels/prelude.cu"
#include "../../src/engine/kernels/planes.cu"
#include "../../src/engine/kernels/augment.cu"
#include "../../src/engine/kernels/vectors.cu"
RUN_ALL
#undef REAL
}  // namespace of_floats

namespace of_doubles {
using std::ceil, std::cos, std::floor, std::sin, std::sqrt;
#define REAL double
#undef EPS
#undef PI
#undef SCALE_RATIO
#include "../../src/engine/kernels/prelude.cu"
#include "../../src/engine/kernels/planes.cu"
#include "../../src/engine/kernels/augment.cu"
#include "../../src/engine/kernels/vectors.cu"
RUN_ALL
}  // namespace of_doubles
}  // namespace emulated

// False if there is no such kernel.
extern "C" bool astill_emulate(const char *kernel, bool is_double, int blocks, int threads, void **arguments) {
  return is_double ? emulated::of_doubles::run(kernel, blocks, threads, arguments)
                   : emulated::of_floats::run(kernel, blocks, threads, arguments);
}
