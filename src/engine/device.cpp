// What tch does not offer: how exactly a GPU multiplies, and what its allocator has counted.

#include <ATen/Context.h>
#include <c10/core/CachingDeviceAllocator.h>

#include <cstdint>
#include <exception>

namespace {

// What the tensors on CUDA device number `device` take together; throws where it is not known.
auto allocated(int64_t device) {
  const auto stats = c10::getDeviceAllocator(c10::DeviceType::CUDA)->getDeviceStats(static_cast<c10::DeviceIndex>(device));
  return stats.allocated_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)];
}

}  // namespace

// Whether a GPU may round the factors of its products to TF32, in convolutions and in matrix products.
extern "C" void astill_allow_tf32(bool allowed) noexcept {
  try {
    at::globalContext().setAllowTF32CuDNN(allowed);
    at::globalContext().setAllowTF32CuBLAS(allowed);
  } catch (const std::exception &) {
    // a libtorch without these switches has no TF32
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

// The bytes that are free on CUDA device number `device`, whoever uses the others; -1 where it is not known.
extern "C" int64_t astill_free_bytes(int64_t device) noexcept {
  try {
    const auto allocator = c10::getDeviceAllocator(c10::DeviceType::CUDA);
    return static_cast<int64_t>(allocator->getMemoryInfo(static_cast<c10::DeviceIndex>(device)).first);
  } catch (const std::exception &) {
    return -1;
  }
}
