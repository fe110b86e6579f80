// The part of the CUDA driver that libtorch and astill call.
#include <cstring>

#include "fake.h"

namespace {
constexpr int OUT_OF_MEMORY = 2, NO_DEVICE = 100;
struct Physical { size_t size; int device; };
}  // namespace

EXPORT int cuInit(unsigned) { return getenv("FAKE_COUNT_ERROR") ? NO_DEVICE : 0; }
EXPORT int cuDriverGetVersion(int *version) { return *version = fake_driver_version(), 0; }
EXPORT int cuDeviceGet(int *device, int ordinal) { return *device = ordinal, 0; }
EXPORT int cuDeviceGetCount(int *n) { return *n = number("FAKE_GPUS", 1), 0; }
EXPORT int cuDeviceGetName(char *name, int n, int) { return strncpy(name, "Fake GPU", n), 0; }
EXPORT int cuDeviceGetUuid_v2(char *uuid, int device) { return memset(uuid, 16 * (device + 1), 16), 0; }
EXPORT int cuDeviceGetAttribute(int *value, int attribute, int) {
  constexpr int MAJOR = 75, MINOR = 76;
  *value = attribute == MAJOR ? number("FAKE_MAJOR", 9) : attribute == MINOR ? 0 : 1;
  return 0;
}
EXPORT int cuDevicePrimaryCtxGetState(int device, unsigned *flags, int *is_active) {
  if (flags) *flags = 0;
  if (is_active) *is_active = fake_is_active(device);
  return 0;
}
EXPORT int cuDevicePrimaryCtxRetain(void **context, int) { return *context = (void *)1, 0; }
EXPORT int cuCtxGetCurrent(void **context) { return *context = (void *)1, 0; }
EXPORT int cuCtxPushCurrent_v2(void *) { return 0; }
EXPORT int cuCtxPopCurrent_v2(void **context) { return *context = (void *)1, 0; }
EXPORT int cuCtxSetCurrent(void *) { return 0; }
EXPORT int cuGetErrorString(int, const char **text) { return *text = "an error of the fake driver", 0; }
EXPORT int cuPointerGetAttribute(void *, int, unsigned long long) { return 1; }

EXPORT int cuModuleLoadData(void **module, const void *) { return hit("module loaded"), *module = calloc(1, 16), 0; }
EXPORT int cuModuleLoadDataEx(void **module, const void *, unsigned, int *, void **) { return hit("module loaded"), *module = calloc(1, 16), 0; }
EXPORT int cuModuleLoad(void **module, const char *) { return *module = calloc(1, 16), 0; }
EXPORT int cuModuleUnload(void *module) { return free(module), 0; }
EXPORT int cuModuleGetFunction(void **f, void *, const char *name) { return *f = strdup(name), 0; }
EXPORT int cuFuncGetAttribute(int *value, int, void *) { return *value = 0, 0; }
EXPORT int cuFuncSetAttribute(void *, int, int) { return 0; }
EXPORT int cuFuncSetCacheConfig(void *, int) { return 0; }
EXPORT int cuOccupancyMaxActiveBlocksPerMultiprocessor(int *n, void *, int, size_t) { return *n = 2, 0; }
EXPORT int cuLaunchKernel(void *f, unsigned x, unsigned y, unsigned z, unsigned, unsigned, unsigned, unsigned, void *, void **, void **) {
  return fake_launch((const char *)f, long(x) * y * z);
}
EXPORT int cuLaunchCooperativeKernel(void *f, unsigned x, unsigned y, unsigned z) { return fake_launch((const char *)f, long(x) * y * z); }
EXPORT int cuLinkCreate_v2() { return 0; }
EXPORT int cuLinkAddData_v2() { return 0; }
EXPORT int cuLinkComplete() { return 0; }
EXPORT int cuTensorMapEncodeTiled() { return 0; }

// --- memory in segments that can grow ---
EXPORT int cuMemGetAllocationGranularity(size_t *n, const void *, int) { return *n = 2 << 20, 0; }
EXPORT int cuMemAddressReserve(unsigned long long *address, size_t n, size_t, unsigned long long, unsigned long long) {
  *address = (unsigned long long)fake_reserve(n, fake_current_device());
  return *address ? 0 : OUT_OF_MEMORY;
}
EXPORT int cuMemAddressFree(unsigned long long address, size_t) { return fake_release((void *)address), 0; }
EXPORT int cuMemCreate(void **handle, size_t n, const void *, unsigned long long) {
  hit("segment grown");
  const int device = fake_current_device();
  if (!fake_take(device, n)) return OUT_OF_MEMORY;
  return *handle = new Physical{n, device}, 0;
}
EXPORT int cuMemRelease(void *handle) {
  auto *physical = (Physical *)handle;
  fake_give_back(physical->device, physical->size);
  return delete physical, 0;
}
EXPORT int cuMemMap(unsigned long long, size_t, size_t, void *, unsigned long long) { return 0; }
EXPORT int cuMemUnmap(unsigned long long, size_t) { return 0; }
EXPORT int cuMemSetAccess(unsigned long long, size_t, const void *, size_t) { return 0; }
EXPORT int cuMemExportToShareableHandle() { return 1; }
EXPORT int cuMemImportFromShareableHandle() { return 1; }
EXPORT int cuMemsetD32Async() { return 0; }
EXPORT int cuStreamWriteValue32() { return 0; }
EXPORT int cuStreamWriteValue32_v2() { return 0; }

// --- what libtorch looks up and astill does not use ---
#define UNUSED(name) \
  EXPORT int name() { return hit(#name), 1; }
UNUSED(cuMemRetainAllocationHandle) UNUSED(cuMemGetAllocationPropertiesFromHandle)
UNUSED(cuMulticastAddDevice) UNUSED(cuMulticastBindMem) UNUSED(cuMulticastCreate) UNUSED(cuMulticastUnbind)
UNUSED(cuCtxFromGreenCtx) UNUSED(cuCtxPopCurrent) UNUSED(cuCtxPushCurrent) UNUSED(cuDevResourceGenerateDesc)
UNUSED(cuDevSmResourceSplitByCount) UNUSED(cuDeviceGetDevResource) UNUSED(cuGreenCtxCreate) UNUSED(cuGreenCtxDestroy)
UNUSED(cuGreenCtxStreamCreate)
// NVRTC asks for these, and does without them
EXPORT int cuGetExportTable(const void **table, const void *) {
  constexpr int NOT_FOUND = 500;
  return *table = nullptr, NOT_FOUND;
}
