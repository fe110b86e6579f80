// A CUDA runtime that computes nothing: kernels are counted, copies are done, memory is address space of the host.
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstring>
#include <ctime>
#include <map>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "fake.h"

namespace {

constexpr int MOST_DEVICES = 16;
std::mutex guard;
// never destroyed: they are written and used until the very end of the process
auto &counts = *new std::map<std::string, long>;
struct Block { size_t size; int device; bool is_taken; };
auto &blocks = *new std::map<char *, Block>;
size_t used[MOST_DEVICES], peak[MOST_DEVICES];
bool active[MOST_DEVICES];
auto &kernels = *new std::unordered_map<const void *, const char *>;
thread_local int current = 0;
int last_error = 0;

int devices() { return number("FAKE_GPUS", 1); }

// FAKE_GPU_MIB: the memory of every device, or of each, with commas; the last counts for the others too.
size_t capacity(int device) {
  const char *text = getenv("FAKE_GPU_MIB");
  if (!text) return size_t(81559) << 20;
  for (; device > 0 && strchr(text, ','); device--) text = strchr(text, ',') + 1;
  return size_t(atoll(text)) << 20;
}

void activate(int device) {
  if (active[device]) return;
  active[device] = true;
  fake_count(("CONTEXT made on device " + std::to_string(device)).c_str(), 1);
}

bool on_device(const void *p) {
  std::lock_guard<std::mutex> lock(guard);
  auto next = blocks.upper_bound((char *)p);
  if (next == blocks.begin()) return false;
  --next;
  return (char *)p < next->first + next->second.size;
}

void copy(void *to, const void *from, size_t n, const char *how) {
  const bool from_device = on_device(from), to_device = on_device(to);
  const auto place = [](bool device) { return device ? "device" : "host"; };
  char text[80];
  snprintf(text, sizeof text, "copy%s %s to %s", how, place(from_device), place(to_device));
  hit(text);
  if (from_device != to_device) fake_count(to_device ? "bytes to device" : "bytes to host", n);
  // results of kernels that did not run, as zeros
  if (from_device && !to_device && getenv("FAKE_ZERO"))
    memset(to, 0, n);
  else
    memmove(to, from, n);
  fake_spin();
}

void dump() {
  const char *path = getenv("FAKE_OUT");
  // other programs of a test use no CUDA
  if (!path || counts.empty()) return;
  FILE *file = fopen(path, "w");
  if (!file) return;
  for (auto &count : counts) fprintf(file, "%ld %s\n", count.second, count.first.c_str());
  for (int i = 0; i < devices(); i++) fprintf(file, "%zu peak_mib_device_%d\n", peak[i] >> 20, i);
  fclose(file);
}
const int registered = atexit(dump);

cudaError_t launched(const void *f, dim3 grid) {
  const char *name = "unknown";
  {
    std::lock_guard<std::mutex> lock(guard);
    auto found = kernels.find(f);
    if (found != kernels.end()) name = found->second;
  }
  return last_error = fake_launch(name, long(grid.x) * grid.y * grid.z), (cudaError_t)last_error;
}

struct { dim3 grid, block; size_t shared; void *stream; } configuration;

}  // namespace

EXPORT void fake_count(const char *name, long n) {
  std::lock_guard<std::mutex> lock(guard);
  counts[name] += n;
}
EXPORT void fake_spin() {
  static const double us = getenv("FAKE_LAUNCH_US") ? atof(getenv("FAKE_LAUNCH_US")) : 0;
  if (us <= 0) return;
  timespec begin, now;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  do clock_gettime(CLOCK_MONOTONIC, &now);
  while ((now.tv_sec - begin.tv_sec) * 1e6 + (now.tv_nsec - begin.tv_nsec) * 1e-3 < us);
}
EXPORT int fake_is_active(int device) { return active[device]; }
EXPORT int fake_launch(const char *kernel, long n) {
  static const bool with_names = getenv("FAKE_NAMES");
  hit("LAUNCH");
  if (with_names) {
    fake_count(("kernel " + std::string(kernel)).c_str(), 1);
    fake_count(("blocks " + std::string(kernel)).c_str(), n);
  }
  fake_spin();
  return number("FAKE_LAUNCH_ERROR", 0);
}
EXPORT bool fake_take(int device, size_t bytes) {
  std::lock_guard<std::mutex> lock(guard);
  if (used[device] + bytes > capacity(device)) return counts["memory refused"]++, false;
  used[device] += bytes;
  if (used[device] > peak[device]) peak[device] = used[device];
  return true;
}
EXPORT void fake_give_back(int device, size_t bytes) {
  std::lock_guard<std::mutex> lock(guard);
  used[device] -= bytes;
}
EXPORT void fake_memory(int device, size_t *free, size_t *total) {
  *total = capacity(device);
  *free = *total - used[device];
}
EXPORT void *fake_reserve(size_t bytes, int device) {
  const size_t n = bytes ? bytes : 1;
  void *address = mmap(nullptr, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) return nullptr;
  std::lock_guard<std::mutex> lock(guard);
  blocks[(char *)address] = {n, device, false};
  return address;
}
EXPORT void fake_release(void *address) {
  std::lock_guard<std::mutex> lock(guard);
  auto found = blocks.find((char *)address);
  if (found == blocks.end()) return;
  munmap(address, found->second.size);
  blocks.erase(found);
}
EXPORT int fake_current_device() { return current; }
EXPORT int fake_driver_version() { return number("FAKE_DRIVER", 13000); }

// --- devices ---
EXPORT cudaError_t cudaGetDeviceCount(int *n) {
  const int error = number("FAKE_COUNT_ERROR", 0);
  *n = error ? 0 : devices();
  return (cudaError_t)error;
}
EXPORT cudaError_t cudaGetDevice(int *device) { return *device = current, cudaSuccess; }
EXPORT cudaError_t cudaSetDevice(int device) {
  current = device;
  if (number("FAKE_EXCLUSIVE", 0)) return cudaErrorDevicesUnavailable;
  return activate(device), cudaSuccess;
}
EXPORT cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int device) {
  memset(p, 0, sizeof *p);
  snprintf(p->name, sizeof p->name, "Fake GPU");
  memset(p->uuid.bytes, 16 * (device + 1), sizeof p->uuid.bytes);
  p->totalGlobalMem = capacity(device);
  p->sharedMemPerBlock = 49152, p->regsPerBlock = 65536, p->warpSize = 32, p->maxThreadsPerBlock = 1024;
  p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024, p->maxThreadsDim[2] = 64;
  p->maxGridSize[0] = 2147483647, p->maxGridSize[1] = p->maxGridSize[2] = 65535;
  p->major = number("FAKE_MAJOR", 9), p->multiProcessorCount = 132, p->l2CacheSize = 50 << 20;
  p->maxThreadsPerMultiProcessor = 2048, p->sharedMemPerMultiprocessor = 233472, p->regsPerMultiprocessor = 65536;
  p->sharedMemPerBlockOptin = 232448, p->maxBlocksPerMultiProcessor = 32, p->concurrentKernels = 1, p->unifiedAddressing = 1;
  p->textureAlignment = 512, p->pciBusID = device;
  return cudaSuccess;
}
EXPORT cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int) {
  switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor: *value = number("FAKE_MAJOR", 9); break;
    case cudaDevAttrComputeCapabilityMinor: *value = 0; break;
    case cudaDevAttrMultiProcessorCount: *value = 132; break;
    case cudaDevAttrWarpSize: *value = 32; break;
    case cudaDevAttrMaxThreadsPerBlock: *value = 1024; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = 49152; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = 232448; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = 2048; break;
    case cudaDevAttrMaxGridDimX: *value = 2147483647; break;
    case cudaDevAttrMaxGridDimY: case cudaDevAttrMaxGridDimZ: *value = 65535; break;
    case cudaDevAttrMaxRegistersPerMultiprocessor: *value = 65536; break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = 233472; break;
    default: *value = 1;
  }
  return cudaSuccess;
}
EXPORT cudaError_t cudaDriverGetVersion(int *v) { return *v = fake_driver_version(), cudaSuccess; }
EXPORT cudaError_t cudaRuntimeGetVersion(int *v) { return *v = 13000, cudaSuccess; }
EXPORT cudaError_t cudaGetDriverEntryPointByVersion(const char *name, void **f, unsigned, unsigned long long,
                                                    cudaDriverEntryPointQueryResult *status) {
  static void *driver = dlopen("libcuda.so.1", RTLD_NOW);
  *f = driver ? dlsym(driver, name) : nullptr;
  if (status) *status = *f ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}

// --- memory ---
EXPORT cudaError_t cudaMalloc(void **p, size_t n) {
  *p = nullptr;
  // a context is made here where nobody has set a device before
  if (number("FAKE_EXCLUSIVE", 0)) return cudaErrorDevicesUnavailable;
  activate(current);
  hit("cudaMalloc");
  if (!fake_take(current, n)) return cudaErrorMemoryAllocation;
  *p = fake_reserve(n, current);
  if (!*p) return cudaErrorMemoryAllocation;
  std::lock_guard<std::mutex> lock(guard);
  blocks[(char *)*p] = {n, current, true};
  return cudaSuccess;
}
EXPORT cudaError_t cudaFree(void *p) {
  if (!p) return cudaSuccess;
  hit("cudaFree");
  Block block;
  {
    std::lock_guard<std::mutex> lock(guard);
    auto found = blocks.find((char *)p);
    if (found == blocks.end()) return cudaErrorInvalidValue;
    block = found->second;
  }
  fake_give_back(block.device, block.size);
  return fake_release(p), cudaSuccess;
}
EXPORT cudaError_t cudaMemGetInfo(size_t *free, size_t *total) {
  activate(current);
  return fake_memory(current, free, total), cudaSuccess;
}
EXPORT cudaError_t cudaMemcpy(void *to, const void *from, size_t n, cudaMemcpyKind) { return copy(to, from, n, ""), cudaSuccess; }
EXPORT cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, cudaMemcpyKind, cudaStream_t) {
  return copy(to, from, n, "Async"), cudaSuccess;
}
EXPORT cudaError_t cudaMemcpyPeerAsync(void *to, int, const void *from, int, size_t n, cudaStream_t) {
  return hit("copyAsync peer"), memmove(to, from, n), cudaSuccess;
}
EXPORT cudaError_t cudaMemset(void *p, int v, size_t n) { return hit("memset"), memset(p, v, n), cudaSuccess; }
EXPORT cudaError_t cudaMemsetAsync(void *p, int v, size_t n, cudaStream_t) {
  hit("memset");
  // large zeros would only make the host allocate pages
  if (v || n < (1 << 22)) memset(p, v, n);
  return fake_spin(), cudaSuccess;
}
EXPORT cudaError_t cudaHostAlloc(void **p, size_t n, unsigned) { return hit("pinned allocation"), *p = malloc(n), cudaSuccess; }
EXPORT cudaError_t cudaFreeHost(void *p) { return free(p), cudaSuccess; }
EXPORT cudaError_t cudaPointerGetAttributes(cudaPointerAttributes *a, const void *p) {
  memset(a, 0, sizeof *a);
  a->type = on_device(p) ? cudaMemoryTypeDevice : cudaMemoryTypeUnregistered;
  a->devicePointer = a->hostPointer = (void *)p;
  return cudaSuccess;
}

// --- kernels ---
EXPORT void **__cudaRegisterFatBinary(void *) { return (void **)calloc(1, 64); }
EXPORT void __cudaRegisterFatBinaryEnd(void **) {}
EXPORT void __cudaUnregisterFatBinary(void **) {}
EXPORT void __cudaRegisterVar(void **, char *, char *, const char *, int, size_t, int, int) {}
EXPORT void __cudaRegisterFunction(void **, const char *host, char *, const char *name, int, void *, void *, void *, void *, int *) {
  std::lock_guard<std::mutex> lock(guard);
  kernels[host] = name;
}
EXPORT unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, cudaStream_t stream) {
  return configuration = {grid, block, shared, stream}, 0;
}
EXPORT cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared, void *stream) {
  *grid = configuration.grid, *block = configuration.block, *shared = configuration.shared;
  *(void **)stream = configuration.stream;
  return cudaSuccess;
}
EXPORT cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *f) { return *kernel = (cudaKernel_t)f, cudaSuccess; }
EXPORT cudaError_t __cudaLaunchKernel(cudaKernel_t f, dim3 grid, dim3, void **, size_t, cudaStream_t) { return launched((const void *)f, grid); }
EXPORT cudaError_t cudaLaunchKernel(const void *f, dim3 grid, dim3, void **, size_t, cudaStream_t) { return launched(f, grid); }
EXPORT cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *c, const void *f, void **) { return launched(f, c->gridDim); }
EXPORT cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *a, const void *) {
  memset(a, 0, sizeof *a);
  a->maxThreadsPerBlock = 1024, a->numRegs = 32, a->ptxVersion = 90, a->binaryVersion = 90, a->maxDynamicSharedSizeBytes = 232448;
  return cudaSuccess;
}
EXPORT cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *n, const void *, int, size_t, unsigned) {
  return *n = 2, cudaSuccess;
}
EXPORT cudaError_t cudaGetLastError() {
  const int error = last_error;
  return last_error = 0, (cudaError_t)error;
}
EXPORT cudaError_t cudaPeekAtLastError() { return (cudaError_t)last_error; }
EXPORT const char *cudaGetErrorString(cudaError_t e) {
  switch (e) {
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInsufficientDriver: return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorDevicesUnavailable: return "CUDA-capable device(s) is/are busy or unavailable";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorNoKernelImageForDevice: return "no kernel image is available for execution on the device";
    default: return "an error";
  }
}
EXPORT const char *cudaGetErrorName(cudaError_t e) { return e == cudaErrorMemoryAllocation ? "cudaErrorMemoryAllocation" : "cudaErrorOther"; }

// --- streams and events ---
EXPORT cudaError_t cudaEventCreate(cudaEvent_t *e) { return *e = (cudaEvent_t)calloc(1, 16), cudaSuccess; }
EXPORT cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned) { return *e = (cudaEvent_t)calloc(1, 16), cudaSuccess; }
EXPORT cudaError_t cudaEventDestroy(cudaEvent_t e) { return free(e), cudaSuccess; }
EXPORT cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t, cudaEvent_t) { return *ms = 1, cudaSuccess; }
EXPORT cudaError_t cudaEventQuery(cudaEvent_t) { return cudaSuccess; }
EXPORT cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return hit("event record"), cudaSuccess; }
EXPORT cudaError_t cudaEventSynchronize(cudaEvent_t) { return hit("WAIT"), cudaSuccess; }
EXPORT cudaError_t cudaStreamQuery(cudaStream_t) { return cudaSuccess; }
EXPORT cudaError_t cudaStreamSynchronize(cudaStream_t) { return hit("WAIT"), cudaSuccess; }
EXPORT cudaError_t cudaDeviceSynchronize() { return hit("WAIT"), cudaSuccess; }
EXPORT cudaError_t cudaStreamCreateWithPriority(cudaStream_t *s, unsigned, int) { return *s = (cudaStream_t)calloc(1, 64), cudaSuccess; }
EXPORT cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus *s) { return *s = cudaStreamCaptureStatusNone, cudaSuccess; }
EXPORT cudaError_t cudaStreamGetCaptureInfo(cudaStream_t, cudaStreamCaptureStatus *s, unsigned long long *id, cudaGraph_t *,
                                            const cudaGraphNode_t **, const cudaGraphEdgeData **, size_t *) {
  *s = cudaStreamCaptureStatusNone;
  if (id) *id = 0;
  return cudaSuccess;
}
EXPORT cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest) { return *least = 0, *greatest = -5, cudaSuccess; }
