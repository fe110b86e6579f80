//! The floor of a student step: the convolutions of its analytic passes alone, in the same number
//! and of the same shapes, and nothing between them. What a step takes beyond that is what can
//! still be gained around libtorch's convolutions.

use crate::network::analytic::convolution::{
    convolve, image_gradient, input_gradient, weight_gradient,
};
use crate::network::analytic::pieces::{PIECE, Workers, in_pieces};
use crate::network::{Network, padding};
use tch::{Device, Tensor};

/// Which convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConvolutionPass {
    /// Of the gradient: 3 per block, one less in the first.
    Forward,
    /// Of its derivative along a direction: 6 per block; where the forward passes were not
    /// `cached`, their 2 again.
    Back { cached: bool },
}

/// The convolutions of a student step on batches of a certain shape.
#[derive(Debug)]
pub(super) struct Convolutions {
    images: i64,
    analytic: bool,
    blocks: Vec<BlockConvolutions>,
}

/// What the convolutions of a block take, for N images at once. The values do not matter.
#[derive(Debug)]
struct BlockConvolutions {
    padding: i64,
    /// (C', C, 3, 3), (C', 2 C, 3, 3), (2 C', C, 3, 3).
    weight: Tensor,
    weight_forward: Tensor,
    weight_back: Tensor,
    /// (N, C, H, W), (N, 2 C, H, W), (2 N, C, H, W).
    input: Tensor,
    input_pair: Tensor,
    inputs: Tensor,
    /// (N, C', H', W'), (N, 2 C', H', W'), (2 N, C', H', W').
    output: Tensor,
    output_pair: Tensor,
    outputs: Tensor,
}

impl BlockConvolutions {
    /// For `n` images (C, H, W) that go into `weight`, in block number `block`.
    fn new(block: usize, weight: Tensor, n: i64, input: [i64; 3]) -> Self {
        let options = (weight.kind(), weight.device());
        let ones = |size: [i64; 4]| Tensor::ones(size, options);
        let (size, [c, h, w]) = (weight.size(), input);
        let padding = padding(block, c);
        let (out, grown) = (size[0], 2 * padding - 2);
        Self {
            padding,
            weight_forward: ones([out, 2 * c, 3, 3]),
            weight_back: ones([2 * out, c, 3, 3]),
            input: ones([n, c, h, w]),
            input_pair: ones([n, 2 * c, h, w]),
            inputs: ones([2 * n, c, h, w]),
            output: ones([n, out, h + grown, w + grown]),
            output_pair: ones([n, 2 * out, h + grown, w + grown]),
            outputs: ones([2 * n, out, h + grown, w + grown]),
            weight,
        }
    }

    /// The same memory, for `n` images.
    fn share(&self, n: i64) -> Self {
        let some = |t: &Tensor, n| t.narrow(0, 0, n);
        let [weight, weight_forward, weight_back] =
            [&self.weight, &self.weight_forward, &self.weight_back].map(Tensor::shallow_clone);
        Self {
            padding: self.padding,
            weight,
            weight_forward,
            weight_back,
            input: some(&self.input, n),
            input_pair: some(&self.input_pair, n),
            inputs: some(&self.inputs, 2 * n),
            output: some(&self.output, n),
            output_pair: some(&self.output_pair, n),
            outputs: some(&self.outputs, 2 * n),
        }
    }

    fn run(&self, pass: ConvolutionPass, first: bool) {
        let Self {
            padding,
            weight,
            weight_forward,
            weight_back,
            input,
            input_pair,
            inputs,
            output,
            output_pair,
            outputs,
        } = self;
        let padding = *padding;
        if matches!(
            pass,
            ConvolutionPass::Forward | ConvolutionPass::Back { cached: false }
        ) {
            drop(convolve(input, weight, padding));
            if !first {
                drop(input_gradient(output, input, weight, padding));
            }
        }
        match pass {
            ConvolutionPass::Forward => drop(weight_gradient(output, input, weight, padding)),
            ConvolutionPass::Back { .. } if first => {
                drop(convolve(input, weight, padding));
                drop(weight_gradient(output, input, weight, padding));
                drop(image_gradient(
                    [(output, weight), (output, weight)],
                    input,
                    padding,
                ));
            }
            ConvolutionPass::Back { .. } => {
                drop(convolve(input_pair, weight_forward, padding));
                drop(weight_gradient(outputs, inputs, weight, padding));
                drop(input_gradient(output_pair, input, weight_back, padding));
            }
        }
    }
}

impl Convolutions {
    /// Those of a student step of `net`, whose blocks end in a 2×2 pooling, on a batch like
    /// `images` (N, C, H, W).
    pub fn of(net: &dyn Network, images: &Tensor) -> Self {
        // on a GPU a batch is processed whole
        let analytic = images.device() == Device::Cpu && net.analytic(images).is_some();
        let size = images.size();
        let n = if analytic {
            PIECE.min(size[0])
        } else {
            size[0]
        };
        let (mut blocks, mut input) = (Vec::new(), [size[1], size[2], size[3]]);
        let theta = Tensor::ones([net.parameters()], (images.kind(), images.device()));
        for (d, weight) in net.conv_weights(&theta).into_iter().enumerate() {
            let block = BlockConvolutions::new(d, weight, n, input);
            let output = block.output.size();
            input = [output[1], output[2] / 2, output[3] / 2];
            blocks.push(block);
        }
        Self {
            images: size[0],
            analytic,
            blocks,
        }
    }

    /// Does them once, where and in the pieces that a student step does them.
    pub fn run(&self, pass: ConvolutionPass) {
        let each = |blocks: &Vec<BlockConvolutions>, n: i64| {
            blocks
                .iter()
                .enumerate()
                .for_each(|(d, block)| block.share(n).run(pass, d == 0))
        };
        let share = |n: i64| {
            self.blocks
                .iter()
                .map(|block| block.share(n))
                .collect::<Vec<_>>()
        };
        if self.analytic {
            let longest = PIECE.min(self.images);
            in_pieces(
                &Workers::new(),
                self.images,
                || share(longest),
                |blocks, piece| each(blocks, piece.length),
                |()| (),
            );
        } else {
            tch::no_grad(|| each(&share(self.images), self.images));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{ConvNet, ConvNetConfig, Norm};
    use tch::Kind;

    #[test]
    fn every_pass_runs_for_colour_and_grey_images_of_any_side_and_network() {
        for (channels, size, pixels, norm, n) in [
            (3, 16, 16, Norm::Instance, 7),
            (3, 19, 19, Norm::Instance, 1),
            (1, 28, 28, Norm::Instance, 6),
            (3, 16, 16, Norm::Layer, 7),
        ] {
            let net = ConvNet::new(ConvNetConfig {
                channels,
                classes: 5,
                width: 4,
                depth: 2,
                size,
                norm,
                ..ConvNetConfig::default()
            })
            .expect("fits");
            let shape = [n, channels, pixels, pixels];
            let images = Tensor::zeros(shape, (Kind::Float, Device::Cpu));
            let work = Convolutions::of(&net, &images);
            for pass in [
                ConvolutionPass::Forward,
                ConvolutionPass::Back { cached: true },
                ConvolutionPass::Back { cached: false },
            ] {
                work.run(pass);
            }
        }
    }
}
