// What libtorch's allocator of a GPU has counted, which tch does not offer.

#include <c10/core/CachingDeviceAllocator.h>

#include <cstdint>
#include <exception>

// The most bytes that tensors have taken on CUDA device number `device`; -1 where it is not known.
extern "C" int64_t astill_peak_device_bytes(int64_t device) noexcept {
  try {
    const auto stats = c10::getDeviceAllocator(c10::DeviceType::CUDA)->getDeviceStats(static_cast<c10::DeviceIndex>(device));
    return stats.allocated_bytes[static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE)].peak;
  } catch (const std::exception &) {
    return -1;
  }
}
