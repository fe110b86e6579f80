// What the libraries of the fake GPU share: libcudart keeps the counts and the devices, the others use its functions.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <string>

#define EXPORT extern "C" __attribute__((visibility("default")))

extern "C" {
// Adds to a count by name.
void fake_count(const char *name, long n);
// The host time that a launch takes.
void fake_spin();
// Whether a context was made on a device.
int fake_is_active(int device);
// A launch of a kernel with so many blocks; the error to return.
int fake_launch(const char *kernel, long blocks);
// Takes device memory, or gives it back; false where the device has no room.
bool fake_take(int device, size_t bytes);
void fake_give_back(int device, size_t bytes);
// The free and all memory of a device, in bytes.
void fake_memory(int device, size_t *free, size_t *total);
// Address space that counts as device memory.
void *fake_reserve(size_t bytes, int device);
void fake_release(void *address);
int fake_current_device();
// The version of the driver, as CUDA counts: 13000 for 13.0.
int fake_driver_version();
}

inline void hit(const char *name) { fake_count(name, 1); }

inline int number(const char *variable, int otherwise) {
  const char *value = getenv(variable);
  return value ? atoi(value) : otherwise;
}
