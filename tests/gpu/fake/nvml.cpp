// NVIDIA's management library, as far as astill asks it.
#include <cstdio>

#include "fake.h"

struct Memory { unsigned long long total, free, used; };

EXPORT int nvmlInit_v2() { return 0; }
EXPORT int nvmlShutdown() { return 0; }
EXPORT int nvmlDeviceGetHandleByUUID(const char *uuid, void **gpu) {
  unsigned first = 0;
  sscanf(uuid, "GPU-%2x", &first);
  return *gpu = (void *)size_t(first / 16), first == 0;
}
EXPORT int nvmlDeviceGetMemoryInfo(void *gpu, Memory *memory) {
  size_t free, total;
  fake_memory(int(size_t(gpu)) - 1, &free, &total);
  return *memory = {total, free, total - free}, 0;
}
