//! Convolutions of stride 1 on batches of images, and their gradients.

use std::ffi::{CStr, c_char};
use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

// SAFETY: as convolution.cpp defines it.
unsafe extern "C" {
    fn astill_convolution_backward(
        d_output: *const C_tensor,
        input: *const C_tensor,
        weight: *const C_tensor,
        padding: i64,
        d_input: *mut *mut C_tensor,
        d_weight: *mut *mut C_tensor,
    ) -> *mut c_char;
}

/// `input` (N, C, H, W) with `weight` (C', C, 3, 3) → (N, C', H', W'), contiguous.
pub(crate) fn convolve(input: &Tensor, weight: &Tensor, padding: i64) -> Tensor {
    input
        .conv2d(
            weight,
            None::<Tensor>,
            [1, 1],
            [padding, padding],
            [1, 1],
            1,
        )
        .contiguous()
}

/// The gradient with respect to the input: `d_output` (N, C', H', W') → (N, C, H, W), contiguous;
/// of `input` only the shape counts.
pub(crate) fn input_gradient(
    d_output: &Tensor,
    input: &Tensor,
    weight: &Tensor,
    padding: i64,
) -> Tensor {
    let mut d_input = std::ptr::null_mut();
    backward(
        d_output,
        input,
        weight,
        padding,
        &mut d_input,
        std::ptr::null_mut(),
    );
    // SAFETY: `backward` has filled the place with a tensor that nobody else owns, or panicked.
    unsafe { Tensor::from_ptr(d_input) }.contiguous()
}

/// The gradient with respect to the weight (C', C, 3, 3), summed over the batch; of `weight` only
/// the shape counts.
pub(crate) fn weight_gradient(
    d_output: &Tensor,
    input: &Tensor,
    weight: &Tensor,
    padding: i64,
) -> Tensor {
    /// Of an image. A matrix product is faster for so few: libtorch's own first copies all of
    /// `d_output` into another order.
    const FEW_CHANNELS: i64 = 4;
    if input.size()[1] <= FEW_CHANNELS && input.device() == Device::Cpu {
        // (N, C · 9, H' · W')
        let columns = input.im2col([3, 3], [1, 1], [padding, padding], [1, 1]);
        let each = d_output.flatten(2, -1).bmm(&columns.transpose(1, 2));
        return each
            .sum_dim_intlist([0i64].as_slice(), false, None::<Kind>)
            .view_as(weight);
    }
    let mut d_weight = std::ptr::null_mut();
    backward(
        d_output,
        input,
        weight,
        padding,
        std::ptr::null_mut(),
        &mut d_weight,
    );
    // SAFETY: `backward` has filled the place with a tensor that nobody else owns, or panicked.
    unsafe { Tensor::from_ptr(d_weight) }
}

/// Fills the gradients whose place is not null.
///
/// # Panics
/// With libtorch's message where that fails, as tch does.
fn backward(
    d_output: &Tensor,
    input: &Tensor,
    weight: &Tensor,
    padding: i64,
    d_input: *mut *mut C_tensor,
    d_weight: *mut *mut C_tensor,
) {
    let [d_output, input, weight] = [d_output, input, weight].map(Tensor::as_ptr);
    let message =
        // SAFETY: the first three are tensors that are borrowed for the call; the places are null
        // or point to a variable of the caller. The function throws nothing.
        unsafe { astill_convolution_backward(d_output, input, weight, padding, d_input, d_weight) };
    if !message.is_null() {
        // SAFETY: a message is a C string that strdup made.
        let text = unsafe { CStr::from_ptr(message) }
            .to_string_lossy()
            .into_owned();
        // SAFETY: strdup took it from malloc; nobody else has it.
        unsafe { libc::free(message.cast()) };
        panic!("{text}");
    }
}

/// [`input_gradient`] for the few channels of an image, as a matrix product: libtorch's own is
/// several times slower for so few.
///
/// The sum over pairs of `d_output` (N, C', H', W') and `weight` (C', C, 3, 3) → (N, C, H, W), as
/// `images` are shaped.
pub(crate) fn image_gradient<const K: usize>(
    pairs: [(&Tensor, &Tensor); K],
    images: &Tensor,
    padding: i64,
) -> Tensor {
    if images.device() != Device::Cpu {
        let gradients = pairs.map(|(d, weight)| input_gradient(d, images, weight, padding));
        let sum = gradients.into_iter().reduce(|mut sum, next| {
            sum += next;
            sum
        });
        return sum.unwrap_or_default();
    }
    let side = [images.size()[2], images.size()[3]];
    let product = |(d_output, weight): (&Tensor, &Tensor)| {
        weight.flatten(1, -1).tr().matmul(&d_output.flatten(2, -1))
    };
    let columns = pairs
        .map(product)
        .into_iter()
        .reduce(|sum, next| sum + next)
        .unwrap_or_default(); // (N, C · 9, H' · W')
    columns.col2im(side, [3, 3], [1, 1], [padding, padding], [1, 1])
}
