// cuBLASLt that multiplies nothing.
#include <cstring>

#include "fake.h"

EXPORT int cublasLtMatmul() { return hit("CUBLAS"), hit("cublasLtMatmul"), fake_spin(), 0; }
EXPORT size_t cublasLtGetVersion() { return 130100; }
EXPORT int cublasLtMatmulAlgoGetHeuristic(void *, void *, void *, void *, void *, void *, void *, int, char *result, int *n) {
  constexpr size_t SIZE_OF_RESULT = 88;
  return memset(result, 0, SIZE_OF_RESULT), *n = 1, 0;
}
