// What all kernels share. A kernel is compiled for a GPU by NVRTC with -DREAL=float or -DREAL=double, and for the CPU by the tests
// (tests/engine/emulator.cpp), which defines these macros and what CUDA gives a kernel.
#ifndef KERNEL
#define KERNEL extern "C" __global__
#define DEVICE __device__ inline
#define SHARED(name)                     \
  extern __shared__ double its_memory[]; \
  REAL *name = (REAL *)its_memory
#endif

// Adds up K values of every thread of a block, whose size is a power of two; all threads get the sums. No atomics: the order, and so
// every bit, depends on the sizes alone. `shared` has room for K values per thread.
template <int K> DEVICE void sum(REAL (&values)[K], REAL *shared) {
  __syncthreads();
  for (int k = 0; k < K; k++) shared[k * blockDim.x + threadIdx.x] = values[k];
  __syncthreads();
  for (int width = blockDim.x / 2; width > 0; width /= 2) {
    if (threadIdx.x < width)
      for (int k = 0; k < K; k++) shared[k * blockDim.x + threadIdx.x] += shared[k * blockDim.x + threadIdx.x + width];
    __syncthreads();
  }
  for (int k = 0; k < K; k++) values[k] = shared[k * blockDim.x];
}
