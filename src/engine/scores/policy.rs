//! The augmentations of DC-BENCH's program: what is drawn for a batch, the same for all its images.

use super::pixels::{Operation, crop};
use crate::data::{Augmentation, Normalisation};
use crate::random;
use astill_core::profile::AugmentFamily;
use astill_core::scores::BenchAugmentation;
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

/// Black pixels around images before they are cropped.
const MARGIN: i64 = 4;
/// The side of the square that CIFAR's augmentation blanks.
const CUTOUT: i64 = 16;
/// How far brightness, contrast and saturation, and the hue, may be changed.
const JITTER: f64 = 0.4;
const HUE_JITTER: f64 = 0.2;
/// RandAugment's strength, and the number of strengths there are.
const RAND_LEVEL: (usize, usize) = (9, 31);
/// The number of strengths in AutoAugment's policies.
const AUTO_LEVELS: usize = 10;
/// AutoAugment has a policy for CIFAR-10 and one for ImageNet, which is for larger images.
const LARGEST_CIFAR: i64 = 32;

/// A kind of [`Operation`], whose strength is yet to be drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
    Invert,
}
use Op::*;

/// RandAugment's operations (arXiv 1909.13719).
const RAND: [Op; 14] = [
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Color,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
];

/// Two operations, each with its probability and level.
type SubPolicy = [(Op, f64, usize); 2];

/// AutoAugment's policy for CIFAR-10 (arXiv 1805.09501, table 7).
#[rustfmt::skip]
const CIFAR10: [SubPolicy; 25] = [
    [(Invert, 0.1, 0), (Contrast, 0.2, 6)],
    [(Rotate, 0.7, 2), (TranslateX, 0.3, 9)],
    [(Sharpness, 0.8, 1), (Sharpness, 0.9, 3)],
    [(ShearY, 0.5, 8), (TranslateY, 0.7, 9)],
    [(AutoContrast, 0.5, 0), (Equalize, 0.9, 0)],
    [(ShearY, 0.2, 7), (Posterize, 0.3, 7)],
    [(Color, 0.4, 3), (Brightness, 0.6, 7)],
    [(Sharpness, 0.3, 9), (Brightness, 0.7, 9)],
    [(Equalize, 0.6, 0), (Equalize, 0.5, 0)],
    [(Contrast, 0.6, 7), (Sharpness, 0.6, 5)],
    [(Color, 0.7, 7), (TranslateX, 0.5, 8)],
    [(Equalize, 0.3, 0), (AutoContrast, 0.4, 0)],
    [(TranslateY, 0.4, 3), (Sharpness, 0.2, 6)],
    [(Brightness, 0.9, 6), (Color, 0.2, 8)],
    [(Solarize, 0.5, 2), (Invert, 0.0, 0)],
    [(Equalize, 0.2, 0), (AutoContrast, 0.6, 0)],
    [(Equalize, 0.2, 0), (Equalize, 0.6, 0)],
    [(Color, 0.9, 9), (Equalize, 0.6, 0)],
    [(AutoContrast, 0.8, 0), (Solarize, 0.2, 8)],
    [(Brightness, 0.1, 3), (Color, 0.7, 0)],
    [(Solarize, 0.4, 5), (AutoContrast, 0.9, 0)],
    [(TranslateY, 0.9, 9), (TranslateY, 0.7, 9)],
    [(AutoContrast, 0.9, 0), (Solarize, 0.8, 3)],
    [(Equalize, 0.8, 0), (Invert, 0.1, 0)],
    [(TranslateY, 0.7, 9), (AutoContrast, 0.9, 0)],
];

/// AutoAugment's policy for ImageNet (the same, table 9).
#[rustfmt::skip]
const IMAGENET: [SubPolicy; 25] = [
    [(Posterize, 0.4, 8), (Rotate, 0.6, 9)],
    [(Solarize, 0.6, 5), (AutoContrast, 0.6, 0)],
    [(Equalize, 0.8, 0), (Equalize, 0.6, 0)],
    [(Posterize, 0.6, 7), (Posterize, 0.6, 6)],
    [(Equalize, 0.4, 0), (Solarize, 0.2, 4)],
    [(Equalize, 0.4, 0), (Rotate, 0.8, 8)],
    [(Solarize, 0.6, 3), (Equalize, 0.6, 0)],
    [(Posterize, 0.8, 5), (Equalize, 1.0, 0)],
    [(Rotate, 0.2, 3), (Solarize, 0.6, 8)],
    [(Equalize, 0.6, 0), (Posterize, 0.4, 6)],
    [(Rotate, 0.8, 8), (Color, 0.4, 0)],
    [(Rotate, 0.4, 9), (Equalize, 0.6, 0)],
    [(Equalize, 0.0, 0), (Equalize, 0.8, 0)],
    [(Invert, 0.6, 0), (Equalize, 1.0, 0)],
    [(Color, 0.6, 4), (Contrast, 1.0, 8)],
    [(Rotate, 0.8, 8), (Color, 1.0, 2)],
    [(Color, 0.8, 8), (Solarize, 0.8, 7)],
    [(Sharpness, 0.4, 7), (Invert, 0.6, 0)],
    [(ShearX, 0.6, 5), (Equalize, 1.0, 0)],
    [(Color, 0.4, 0), (Equalize, 0.6, 0)],
    [(Equalize, 0.4, 0), (Solarize, 0.2, 4)],
    [(Solarize, 0.6, 5), (AutoContrast, 0.6, 0)],
    [(Invert, 0.6, 0), (Equalize, 1.0, 0)],
    [(Color, 0.6, 4), (Contrast, 1.0, 8)],
    [(Equalize, 0.8, 0), (Equalize, 0.6, 0)],
];

impl Op {
    /// The operation at `level` of `levels` strengths for images of `side` pixels; where it has two
    /// directions, the one that `is_negative` says.
    fn at(self, level: usize, levels: usize, side: i64, is_negative: bool) -> Operation {
        let share = level as f64 / (levels - 1) as f64;
        let signed = |most: f64| share * most * if is_negative { -1. } else { 1. };
        let moved = || signed(150. / 331. * side as f64) as i64;
        let factor = || 1. + signed(0.9);
        match self {
            Identity => Operation::Identity,
            ShearX => Operation::ShearX(signed(0.3)),
            ShearY => Operation::ShearY(signed(0.3)),
            TranslateX => Operation::TranslateX(moved()),
            TranslateY => Operation::TranslateY(moved()),
            Rotate => Operation::Rotate(signed(30.)),
            Brightness => Operation::Brightness(factor()),
            Color => Operation::Color(factor()),
            Contrast => Operation::Contrast(factor()),
            Sharpness => Operation::Sharpness(factor()),
            Posterize => Operation::Posterize(8 - (share * 4.).round_ties_even() as i64),
            Solarize => Operation::Solarize(255. * (1. - share)),
            AutoContrast => Operation::AutoContrast,
            Equalize => Operation::Equalize,
            Invert => Operation::Invert,
        }
    }
}

/// How a set of images is augmented.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    pub augmentation: BenchAugmentation,
    /// Those of DSA.
    pub families: &'a [AugmentFamily],
    /// Of the images.
    pub normalisation: &'a Normalisation,
}

impl Policy<'_> {
    /// Draws for the batch `images` (n, C, H, W), in the network's input space, and applies that.
    pub fn apply(&self, rng: &mut ChaCha8Rng, images: Tensor) -> Tensor {
        let side = images.size()[3];
        match self.augmentation {
            BenchAugmentation::None => images,
            BenchAugmentation::Dsa => {
                let n = images.size()[0] as usize;
                match Augmentation::draw(rng, self.families, n, side) {
                    Some(augmentation) => augmentation.apply(&images),
                    None => images,
                }
            }
            BenchAugmentation::CifarAug => {
                let cropped = self.on_pixels(&images, |x| cropped_and_flipped(rng, x));
                blanked(rng, &cropped)
            }
            BenchAugmentation::ImagenetAug => self.on_pixels(&images, |x| {
                let cropped = cropped_and_flipped(rng, x);
                jittered(rng, &cropped)
            }),
            BenchAugmentation::AutoAug | BenchAugmentation::RandAug => {
                let operations = match self.augmentation {
                    BenchAugmentation::AutoAug => auto_augment(rng, side),
                    _ => rand_augment(rng, side),
                };
                self.on_pixels(&images, |x| {
                    let start = x.shallow_clone();
                    operations
                        .iter()
                        .fold(start, |x, operation| operation.apply(&x))
                })
            }
        }
    }

    /// Applies `change` to the pixels from 0 to 255 of normalised images.
    fn on_pixels(&self, images: &Tensor, change: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
        let pixels = (self.normalisation.invert(images) * 255.).floor();
        self.normalisation.apply(&(change(&pixels) / 255.))
    }
}

/// One of the two, as likely as the other.
fn coin(rng: &mut ChaCha8Rng) -> bool {
    random::below(rng, 2) == 1
}

fn auto_augment(rng: &mut ChaCha8Rng, side: i64) -> Vec<Operation> {
    let policy = match side <= LARGEST_CIFAR {
        true => &CIFAR10,
        false => &IMAGENET,
    };
    let chosen = policy[random::below(rng, policy.len() as u64) as usize];
    let mut operations = Vec::new();
    for (op, probability, level) in chosen {
        let (drawn, is_negative) = (uniform(rng, 0., 1.), coin(rng));
        if drawn < probability {
            operations.push(op.at(level, AUTO_LEVELS, side, is_negative));
        }
    }
    operations
}

fn rand_augment(rng: &mut ChaCha8Rng, side: i64) -> Vec<Operation> {
    let op = RAND[random::below(rng, RAND.len() as u64) as usize];
    let (level, levels) = RAND_LEVEL;
    vec![op.at(level, levels, side, coin(rng))]
}

fn cropped_and_flipped(rng: &mut ChaCha8Rng, x: &Tensor) -> Tensor {
    let places = 2 * MARGIN as u64 + 1;
    let [top, left] = [(); 2].map(|()| random::below(rng, places) as i64);
    let cropped = crop(x, MARGIN, top, left);
    match coin(rng) {
        true => Operation::Flip.apply(&cropped),
        false => cropped,
    }
}

/// Brightness, contrast, saturation and hue, each by a random amount and in random order.
fn jittered(rng: &mut ChaCha8Rng, x: &Tensor) -> Tensor {
    let mut factor = || uniform(rng, 1. - JITTER, 1. + JITTER);
    let (brightness, contrast, color) = (factor(), factor(), factor());
    let all = [
        Operation::Brightness(brightness),
        Operation::Contrast(contrast),
        Operation::Color(color),
        Operation::Hue(uniform(rng, -HUE_JITTER, HUE_JITTER)),
    ];
    let order = random::permutation(rng, all.len());
    order.iter().fold(x.shallow_clone(), |x, operation| {
        all[*operation as usize].apply(&x)
    })
}

/// A square of the images is blanked in the network's input space.
fn blanked(rng: &mut ChaCha8Rng, images: &Tensor) -> Tensor {
    let side = images.size()[3];
    let [row, column] = [(); 2].map(|()| {
        let centre = random::below(rng, side as u64) as i64;
        let first = (centre - CUTOUT / 2).clamp(0, side);
        (first, (centre + CUTOUT / 2).clamp(0, side) - first)
    });
    let result = images.copy();
    let _ = result
        .narrow(2, row.0, row.1)
        .narrow(3, column.0, column.1)
        .zero_();
    result
}

fn uniform(rng: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    low + (high - low)
        * random::uniform(rng, 1)
            .to_kind(Kind::Double)
            .double_value(&[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::generator;
    use tch::Device;

    #[test]
    fn levels_are_those_of_the_published_programs() {
        // torchvision.transforms.AutoAugment._augmentation_space(10, (32, 32)), RandAugment's (31, …)
        for (op, level, levels, wanted) in [
            (ShearY, 8, 10, Operation::ShearY(0.3 * 8. / 9.)),
            (TranslateX, 9, 10, Operation::TranslateX(14)),
            (TranslateX, 9, 31, Operation::TranslateX(4)),
            (Posterize, 7, 10, Operation::Posterize(5)),
            (Posterize, 9, 31, Operation::Posterize(7)),
            (Solarize, 5, 10, Operation::Solarize(255. * 4. / 9.)),
            (Contrast, 0, 10, Operation::Contrast(1.)),
        ] {
            let text = |o: Operation| format!("{o:.9?}");
            assert_eq!(text(op.at(level, levels, 32, false)), text(wanted));
        }
        assert_eq!(Rotate.at(9, 10, 32, true), Operation::Rotate(-30.));
        assert_eq!(TranslateY.at(8, 10, 32, true), Operation::TranslateY(-12));
    }

    #[test]
    fn every_augmentation_keeps_shape_and_range_and_is_repeated_by_its_generator() {
        for channels in [3, 1] {
            check_every_augmentation(channels);
        }
    }

    fn check_every_augmentation(channels: i64) {
        let pixels = random::uniform(&mut generator(0, "x", &[]), (2 * channels * 256) as usize);
        let pixels = pixels.view([2, channels, 16, 16]);
        let bytes = (&pixels * 255.).round().to_kind(Kind::Uint8);
        let normalisation = Normalisation::Channels {
            mean: Tensor::from_slice(&[0.5f32, 0.4, 0.3]).narrow(0, 0, channels),
            std: Tensor::from_slice(&[0.2f32, 0.25, 0.3]).narrow(0, 0, channels),
        };
        let images = normalisation.apply(&(bytes.to_kind(Kind::Float) / 255.));
        for augmentation in BenchAugmentation::ALL {
            let policy = Policy {
                augmentation,
                families: AugmentFamily::ALL,
                normalisation: &normalisation,
            };
            let apply = |index| {
                let mut rng = generator(0, "policy", &[index]);
                policy.apply(&mut rng, images.shallow_clone())
            };
            let all: Vec<Tensor> = (0..40).map(apply).collect();
            assert!(
                all.iter().all(|x| x.size() == images.size()),
                "{augmentation:?}"
            );
            assert!(apply(3).equal(&all[3]), "{augmentation:?}");
            let changed = all.iter().filter(|x| !x.equal(&images)).count();
            let is_none = augmentation == BenchAugmentation::None;
            assert_eq!(
                changed == 0,
                is_none,
                "{augmentation:?} changed {changed} of 40"
            );
            if augmentation != BenchAugmentation::Dsa {
                let shown = normalisation.invert(&Tensor::cat(&all, 0));
                let back = normalisation.apply(&shown);
                let lost = (back - Tensor::cat(&all, 0)).abs().max();
                // only cutout leaves the range of pixels
                assert!(lost.double_value(&[]) < 1e-4, "{augmentation:?}");
            }
        }
        assert_eq!(images.device(), Device::Cpu);
    }
}
