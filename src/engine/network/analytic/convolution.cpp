// The gradient of a convolution: the one libtorch call that tch does not offer, in the calling convention of torch-sys.

#include <ATen/core/Tensor.h>
#include <ATen/ops/convolution_backward.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <exception>

// Stride 1, one group, no bias. A result that is not wanted is left as it is. Returns nullptr, or a message for free().
extern "C" char *astill_convolution_backward(const at::Tensor *d_output, const at::Tensor *input, const at::Tensor *weight,
                                             int64_t padding, at::Tensor **d_input, at::Tensor **d_weight) noexcept {
  try {
    const std::array<int64_t, 2> ones{1, 1}, zeros{0, 0}, pads{padding, padding};
    auto gradients = at::convolution_backward(*d_output, *input, *weight, at::OptionalIntArrayRef(), ones, pads, ones, false,
                                              zeros, 1, {d_input != nullptr, d_weight != nullptr, false});
    if (d_input)
      *d_input = new at::Tensor(std::get<0>(gradients));
    if (d_weight)
      *d_weight = new at::Tensor(std::get<1>(gradients));
    return nullptr;
  } catch (const std::exception &e) {
    return strdup(e.what());
  }
}
