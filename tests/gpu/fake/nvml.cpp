// NVIDIA's management library, as far as astill asks it.
#include <cstdio>

#include "fake.h"

struct Memory { unsigned version; unsigned long long total, reserved, free, used; };
struct Load { unsigned gpu, memory; };

EXPORT int nvmlInit_v2() { return 0; }
EXPORT int nvmlShutdown() { return 0; }
EXPORT int nvmlDeviceGetHandleByUUID(const char *uuid, void **gpu) {
  unsigned first = 0;
  sscanf(uuid, "GPU-%2x", &first);
  return *gpu = (void *)size_t(first / 16), first == 0;
}
EXPORT int nvmlDeviceGetMemoryInfo_v2(void *gpu, Memory *memory) {
  size_t free, total;
  fake_memory(int(size_t(gpu)) - 1, &free, &total);
  return *memory = {memory->version, total, 0, free, total - free}, 0;
}
EXPORT int nvmlDeviceGetUtilizationRates(void *, Load *load) { return *load = {97, 40}, 0; }
EXPORT int nvmlDeviceGetTemperature(void *, int, unsigned *temperature) { return *temperature = 64, 0; }

// --- who else is on a GPU, which libtorch says where memory runs out ---
EXPORT int nvmlDeviceGetHandleByPciBusId_v2(const char *, void **gpu) { return *gpu = (void *)1, 0; }
EXPORT int nvmlDeviceGetComputeRunningProcesses(void *, unsigned *n, void *) { return *n = 0, 0; }

// --- what libtorch looks up and astill does not use ---
#define UNUSED(name) \
  EXPORT int name() { return 1; }
UNUSED(nvmlDeviceGetGpuFabricInfoV)
UNUSED(nvmlDeviceGetNvLinkRemoteDeviceType) UNUSED(nvmlDeviceGetNvLinkRemotePciInfo_v2) UNUSED(nvmlSystemGetCudaDriverVersion_v2)
