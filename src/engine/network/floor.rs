//! The floor of a student step: its convolutions alone, as many as [`super::Analytic`] takes and of
//! the same shapes, and nothing between them. What a step takes beyond that is what can still be
//! gained around libtorch's convolutions.

use super::convolution::{convolve, image_gradient, input_gradient, weight_gradient};
use super::pieces::{PIECE, Workers, in_pieces};
use super::{ConvNet, Pooling};
use tch::Tensor;

/// Which convolutions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// Of the gradient: 3 a block, one less in the first.
    Forward,
    /// Of its derivative along a direction: 6 a block; where the passes of the way forward were not
    /// `kept`, the 2 of them again.
    Back { kept: bool },
}

/// The convolutions of a student step on batches of a certain shape.
#[derive(Debug)]
pub struct Convolutions {
    images: i64,
    analytic: bool,
    blocks: Vec<Block>,
}

/// What the convolutions of a block take, for N images at once. The values do not matter.
#[derive(Debug)]
struct Block {
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

impl Block {
    /// For `n` images (C, H, W) that go into `weight`.
    fn new(weight: Tensor, n: i64, input: [i64; 3]) -> Self {
        let options = (weight.kind(), weight.device());
        let ones = |size: [i64; 4]| Tensor::ones(size, options);
        let (size, [c, h, w]) = (weight.size(), input);
        let padding = if c == 1 { 3 } else { 1 };
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

    fn run(&self, way: Pass, first: bool) {
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
        if matches!(way, Pass::Forward | Pass::Back { kept: false }) {
            drop(convolve(input, weight, padding));
            if !first {
                drop(input_gradient(output, input, weight, padding));
            }
        }
        match way {
            Pass::Forward => drop(weight_gradient(output, input, weight, padding)),
            Pass::Back { .. } if first => {
                drop(convolve(input, weight, padding));
                drop(weight_gradient(output, input, weight, padding));
                drop(image_gradient(
                    [(output, weight), (output, weight)],
                    [input.size()[2], input.size()[3]],
                    padding,
                ));
            }
            Pass::Back { .. } => {
                drop(convolve(input_pair, weight_forward, padding));
                drop(weight_gradient(outputs, inputs, weight, padding));
                drop(input_gradient(output_pair, input, weight_back, padding));
            }
        }
    }
}

impl ConvNet {
    /// The convolutions of a student step on a batch like `images` (N, C, H, W).
    pub fn convolutions(&self, images: &Tensor) -> Convolutions {
        let analytic = self.analytic(images).is_some();
        let size = images.size();
        let n = if analytic {
            PIECE.min(size[0])
        } else {
            size[0]
        };
        let (mut blocks, mut input) = (Vec::new(), [size[1], size[2], size[3]]);
        let theta = Tensor::ones([self.parameters()], (images.kind(), images.device()));
        for weight in self
            .unflatten(&theta)
            .into_iter()
            .filter(|part| part.dim() == 4)
        {
            let block = Block::new(weight, n, input);
            let output = block.output.size();
            let pooled = if self.pooling == Pooling::None { 1 } else { 2 };
            input = [output[1], output[2] / pooled, output[3] / pooled];
            blocks.push(block);
        }
        Convolutions {
            images: size[0],
            analytic,
            blocks,
        }
    }
}

impl Convolutions {
    /// Does them once, where and in the pieces that a student step does them.
    pub fn run(&self, way: Pass) {
        let each = |blocks: &Vec<Block>, n: i64| {
            blocks
                .iter()
                .enumerate()
                .for_each(|(d, block)| block.share(n).run(way, d == 0))
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
    use crate::network::{Activation, Norm};
    use tch::{Device, Kind};

    #[test]
    fn every_way_can_be_done_for_colour_and_grey_images_of_any_side_and_network() {
        for (channels, size, pixels, norm, n) in [
            (3, 16, 16, Norm::Instance, 7),
            (3, 19, 19, Norm::Instance, 1),
            (1, 32, 28, Norm::Instance, 6),
            (3, 16, 16, Norm::Layer, 7),
        ] {
            let net = ConvNet::new(
                channels,
                5,
                4,
                2,
                size,
                norm,
                Activation::Relu,
                Pooling::Avg,
            )
            .expect("fits");
            let work = net.convolutions(&Tensor::zeros(
                [n, channels, pixels, pixels],
                (Kind::Float, Device::Cpu),
            ));
            for way in [
                Pass::Forward,
                Pass::Back { kept: true },
                Pass::Back { kept: false },
            ] {
                work.run(way);
            }
        }
    }
}
