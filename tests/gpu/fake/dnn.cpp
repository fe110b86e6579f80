// cuDNN that convolves nothing, and counts convolutions by their shapes.
#include <cstdio>
#include <cstring>
#include <map>
#include <mutex>

#include "fake.h"

namespace {
std::mutex guard;
auto &shapes = *new std::map<void *, std::string>;

void keep(void *descriptor, int n, const int *sides) {
  std::string text;
  for (int i = 0; i < n; i++) text += (i ? "x" : "") + std::to_string(sides[i]);
  std::lock_guard<std::mutex> lock(guard);
  shapes[descriptor] = text;
}

int convolution(const char *what, void *x, void *w, void *y) {
  hit("CUDNN");
  hit((std::string("cudnnConvolution") + what).c_str());
  if (getenv("FAKE_NAMES")) {
    std::lock_guard<std::mutex> lock(guard);
    hit(("conv " + std::string(what) + " x " + shapes[x] + " w " + shapes[w] + " y " + shapes[y]).c_str());
  }
  return fake_spin(), 0;
}

struct Algorithm { int algorithm, status; float time; size_t memory; int determinism, math, reserved[3]; };
}  // namespace

EXPORT int cudnnBackendExecute() { return hit("CUDNN"), hit("cudnnBackendExecute"), fake_spin(), 0; }
EXPORT int cudnnSetTensorNdDescriptor(void *d, int, int n, const int *sides, const int *) { return keep(d, n, sides), 0; }
EXPORT int cudnnSetFilterNdDescriptor(void *d, int, int, int n, const int *sides) { return keep(d, n, sides), 0; }
EXPORT int cudnnConvolutionForward(void *, void *, void *x, void *, void *w, void *, void *, int, void *, size_t, void *, void *y, void *) {
  return convolution("Forward", x, w, y);
}
EXPORT int cudnnConvolutionBackwardData(void *, void *, void *w, void *, void *y, void *, void *, int, void *, size_t, void *, void *x, void *) {
  return convolution("BackwardData", x, w, y);
}
EXPORT int cudnnConvolutionBackwardFilter(void *, void *, void *x, void *, void *y, void *, void *, int, void *, size_t, void *, void *w, void *) {
  return convolution("BackwardFilter", x, w, y);
}
#define CHOICE(name)                                                                                 \
  EXPORT int name(void *, void *, void *, void *, void *, int, int *n, Algorithm *found) {           \
    return memset(found, 0, sizeof *found), found->algorithm = 1, found->math = 3, found->determinism = 1, *n = 1, 0; \
  }
CHOICE(cudnnGetConvolutionForwardAlgorithm_v7)
CHOICE(cudnnGetConvolutionBackwardDataAlgorithm_v7)
CHOICE(cudnnGetConvolutionBackwardFilterAlgorithm_v7)
#define WORKSPACE(name) \
  EXPORT int name(void *, void *, void *, void *, void *, int, size_t *n) { return *n = 0, 0; }
WORKSPACE(cudnnGetConvolutionForwardWorkspaceSize)
WORKSPACE(cudnnGetConvolutionBackwardDataWorkspaceSize)
WORKSPACE(cudnnGetConvolutionBackwardFilterWorkspaceSize)
EXPORT int cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(void *, int, int, void *, void *, void *, void *, void *, size_t *n) {
  return *n = 0, 0;
}
EXPORT int cudnnGetBatchNormalizationBackwardExWorkspaceSize(void *, int, int, void *, void *, void *, void *, void *, void *, void *,
                                                             size_t *n) {
  return *n = 0, 0;
}
EXPORT int cudnnGetBatchNormalizationTrainingExReserveSpaceSize(void *, int, int, void *, void *, size_t *n) { return *n = 0, 0; }
EXPORT int cudnnGetProperty(int which, int *value) { return *value = which == 0 ? 9 : which == 1 ? 19 : 0, 0; }
EXPORT size_t cudnnGetVersion() { return 91900; }
EXPORT size_t cudnnGetCudartVersion() { return 13000; }
EXPORT const char *cudnnGetErrorString(int) { return "CUDNN_STATUS_NOT_INITIALIZED"; }
EXPORT void cudnnGetLastErrorString(char *text, size_t n) { if (n) text[0] = 0; }
