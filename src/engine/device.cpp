// What tch does not offer: how exactly a GPU multiplies, and what its allocator has counted.

#include <ATen/Context.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <c10/core/AllocatorConfig.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <cstdint>
#include <cstdlib>
#include <exception>

namespace {

constexpr auto ALL = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);

// What the allocator of CUDA device number `device` has counted; throws where it is not known.
auto stats(int64_t device) {
  return c10::getDeviceAllocator(c10::DeviceType::CUDA)->getDeviceStats(static_cast<c10::DeviceIndex>(device));
}

// What the tensors there take together.
auto allocated(int64_t device) { return stats(device).allocated_bytes[ALL]; }

}  // namespace

// To be called before the first tensor on a GPU: cuDNN may only choose algorithms that give the same bits every time, and the
// allocator grows its segments instead of keeping one for every size (unless the user has configured it).
extern "C" void astill_prepare_gpu() noexcept {
  try {
    at::globalContext().setDeterministicCuDNN(true);
    if (!std::getenv("PYTORCH_CUDA_ALLOC_CONF") && !std::getenv("PYTORCH_ALLOC_CONF"))
      c10::CachingAllocator::setAllocatorSettings("expandable_segments:True");
  } catch (const std::exception &) {
    // then it works with more memory
  }
}

// Whether a GPU may round the factors of its products to TF32, in convolutions and in matrix products.
extern "C" void astill_allow_tf32(bool allowed) noexcept {
  try {
    at::globalContext().setAllowTF32CuDNN(allowed);
    at::globalContext().setAllowTF32CuBLAS(allowed);
  } catch (const std::exception &) {
    // a libtorch without these switches has no TF32
  }
}

// Finds the stream on which libtorch works on CUDA device number `device`, as the driver knows it; false if there is none.
extern "C" bool astill_current_stream(int64_t device, void **stream) noexcept {
  try {
    const c10::impl::VirtualGuardImpl guard(c10::DeviceType::CUDA);
    *stream = guard.getStream(c10::Device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(device))).native_handle();
    return true;
  } catch (const std::exception &) {
    return false;
  }
}

// A new tensor of `bytes` bytes in pinned memory of the host, from which a GPU copies while the host goes on; null where there is no
// such memory.
extern "C" at::Tensor *astill_pinned_bytes(int64_t bytes) noexcept {
  try {
    return new at::Tensor(at::empty({bytes}, at::TensorOptions().dtype(at::kByte).pinned_memory(true)));
  } catch (const std::exception &) {
    return nullptr;
  }
}

// The bytes that tensors take on CUDA device number `device` now; -1 where it is not known.
extern "C" int64_t astill_allocated_bytes(int64_t device) noexcept {
  try {
    return allocated(device).current;
  } catch (const std::exception &) {
    return -1;
  }
}

// The most bytes that tensors have taken on CUDA device number `device`; -1 where it is not known.
extern "C" int64_t astill_peak_allocated_bytes(int64_t device) noexcept {
  try {
    return allocated(device).peak;
  } catch (const std::exception &) {
    return -1;
  }
}

// The most bytes that the allocator has taken from CUDA device number `device`; -1 where it is not known.
extern "C" int64_t astill_reserved_bytes(int64_t device) noexcept {
  try {
    return stats(device).reserved_bytes[ALL].peak;
  } catch (const std::exception &) {
    return -1;
  }
}

// The bytes that are free on CUDA device number `device`, and those that the allocator has taken and does not use; -1 where it is
// not known.
extern "C" int64_t astill_available_bytes(int64_t device) noexcept {
  try {
    const auto counted = stats(device);
    const auto allocator = c10::getDeviceAllocator(c10::DeviceType::CUDA);
    const auto free = allocator->getMemoryInfo(static_cast<c10::DeviceIndex>(device)).first;
    return static_cast<int64_t>(free) + counted.reserved_bytes[ALL].current - counted.allocated_bytes[ALL].current;
  } catch (const std::exception &) {
    return -1;
  }
}

// The bytes that are free on CUDA device number `device`, whoever uses the others; -1 where it is not known.
extern "C" int64_t astill_free_bytes(int64_t device) noexcept {
  try {
    const auto allocator = c10::getDeviceAllocator(c10::DeviceType::CUDA);
    return static_cast<int64_t>(allocator->getMemoryInfo(static_cast<c10::DeviceIndex>(device)).first);
  } catch (const std::exception &) {
    return -1;
  }
}
