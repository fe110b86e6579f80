// What tch does not offer: how exactly a GPU multiplies, and what its allocator has counted.

#include <ATen/Context.h>
#include <c10/core/CachingDeviceAllocator.h>

#include <cstdint>
#include <exception>

// Whether a GPU may round the factors of its products to TF32, in convolutions and in matrix products.
extern "C" void astill_allow_tf32(bool allowed) noexcept {
  try {
    at::globalContext().setAllowTF32CuDNN(allowed);
    at::globalContext().setAllowTF32CuBLAS(allowed);
  } catch (const std::exception &) {
    // a libtorch without these switches has no TF32
  }
}

// The most bytes that tensors have taken on CUDA device number `device`; -1 where it is not known.
extern "C" int64_t astill_peak_device_bytes(int64_t device) noexcept {
  try {
    const auto stats = c10::getDeviceAllocator(c10::DeviceType::CUDA)->getDeviceStats(static_cast<c10::DeviceIndex>(device));
    return stats.allocated_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)].peak;
  } catch (const std::exception &) {
    return -1;
  }
}
