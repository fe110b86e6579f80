//! What of the synthetic images is learned: their pixels, their strongest frequencies, or smaller
//! images that are enlarged.
//!
//! Each is a linear map from variables to images, so a derivative with respect to the images becomes
//! one with respect to the variables by the transposed map, after the backward pass through the
//! student. Several images then cost what one costs: results are comparable only among sets of the
//! same budget.

mod frequency;
mod tiles;

pub use frequency::{Frequencies, strongest};
pub use tiles::Tiles;

use astill_core::profile::Parameters;
use astill_core::{Error, Result};
use tch::Tensor;

/// How many images a class has, and how many of them cost what one costs that is stored as pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    pub images_per_class: usize,
    /// Without effect where pixels are learned.
    pub images_per_room: usize,
    /// Pixels of a side of an image.
    pub side: i64,
}

/// How images (n, C, side, side), class after class, are made of variables (n, C, a, b).
///
/// Every image has its own variables, a · b of them for a channel; what is the same for all images of
/// a class, such as which frequencies are kept, is not counted. Images and variables have the same
/// kind; the products are computed in float64, so that they are exact in both kinds and with TF32.
#[derive(Debug)]
pub enum Parameterisation {
    /// The images themselves.
    Pixels,
    Frequency(Frequencies),
    Tiles(Tiles),
}

impl Parameterisation {
    /// For `classes` classes; `images_of` gives the real training images (N, C, side, side) of a
    /// class, on the device of the synthetic ones, whose frequencies are compared.
    ///
    /// # Errors
    /// The budget divides no image: less than one frequency, or tiles of no whole number of pixels;
    /// what `images_of` returns.
    pub fn new(
        kind: Parameters,
        budget: Budget,
        classes: usize,
        images_of: &mut dyn FnMut(usize) -> Result<Tensor>,
    ) -> Result<Self> {
        let Budget {
            images_per_class,
            images_per_room: factor,
            side,
        } = budget;
        match kind {
            Parameters::Pixels => Ok(Self::Pixels),
            Parameters::Frequency => {
                let count = side * side / factor.max(1) as i64;
                if count < 1 {
                    return Err(Error::Usage(format!(
                        "found distill.images_per_room {factor}, more than the {} frequencies of an \
                         image; lower it",
                        side * side
                    )));
                }
                let positions = (0..classes)
                    .map(|class| Ok(strongest(&images_of(class)?, count)))
                    .collect::<Result<Vec<_>>>()?;
                let positions = Tensor::stack(&positions, 0);
                let frequencies = Frequencies::new(side, positions, images_per_class as i64);
                Ok(Self::Frequency(frequencies))
            }
            Parameters::Tiles => Tiles::new(side, factor).map(Self::Tiles).ok_or_else(|| {
                Error::Usage(format!(
                    "found distill.images_per_room {factor}, expected a square k² for tiles, with a \
                     k that divides the side of {side} pixels"
                ))
            }),
        }
    }

    /// The images (n, C, side, side) of `variables` (n, C, a, b); differentiable.
    pub fn images(&self, variables: &Tensor) -> Tensor {
        match self {
            Self::Pixels => variables.shallow_clone(),
            Self::Frequency(frequencies) => frequencies.images(variables),
            Self::Tiles(tiles) => tiles.images(variables),
        }
    }

    /// The derivative with respect to the variables (n, C, a, b) of a loss whose derivative with
    /// respect to the images is `derivative` (n, C, side, side): the transposed map.
    pub fn pull_back(&self, derivative: &Tensor) -> Tensor {
        match self {
            Self::Pixels => derivative.shallow_clone(),
            Self::Frequency(frequencies) => frequencies.pull_back(derivative),
            Self::Tiles(tiles) => tiles.pull_back(derivative),
        }
    }

    /// The variables (n, C, a, b) whose images are nearest to these (n, C, side, side), by least
    /// squares.
    pub fn fit(&self, images: &Tensor) -> Tensor {
        match self {
            Self::Pixels => images.shallow_clone(),
            // the basis is orthonormal
            Self::Frequency(frequencies) => frequencies.pull_back(images),
            Self::Tiles(tiles) => tiles.fit(images),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;
    use tch::Kind;

    const CLASSES: usize = 2;
    const SIDE: i64 = 12;
    /// Of a class, in images.
    const ROOM: usize = 2;

    fn normal(purpose: &str, images: i64) -> Tensor {
        let n = (images * 3 * SIDE * SIDE) as usize;
        random::normal(&mut random::generator(1, purpose, &[]), n)
            .view([images, 3, SIDE, SIDE])
            .to_kind(Kind::Double)
    }

    fn of(kind: Parameters, images_per_room: usize) -> Result<(Parameterisation, i64)> {
        let images_per_class = match kind {
            Parameters::Pixels => ROOM,
            Parameters::Frequency | Parameters::Tiles => ROOM * images_per_room,
        };
        let budget = Budget {
            images_per_class,
            images_per_room,
            side: SIDE,
        };
        let mut real = |class| Ok(normal(&format!("real {class}"), 40));
        let map = Parameterisation::new(kind, budget, CLASSES, &mut real)?;
        Ok((map, (CLASSES * images_per_class) as i64))
    }

    const ALL: [(Parameters, usize); 6] = [
        (Parameters::Pixels, 4),
        (Parameters::Frequency, 1),
        (Parameters::Frequency, 5),
        (Parameters::Tiles, 1),
        (Parameters::Tiles, 4),
        (Parameters::Tiles, 9),
    ];

    fn largest(difference: &Tensor) -> f64 {
        difference.abs().max().double_value(&[])
    }

    #[test]
    fn pulling_back_is_the_transposed_map_and_what_autograd_computes() -> Result<()> {
        for (kind, factor) in ALL {
            let (map, n) = of(kind, factor)?;
            let derivative = normal("derivative", n);
            let shape = map.pull_back(&derivative).size();
            let count = shape.iter().product::<i64>() as usize;
            let variables = random::normal(&mut random::generator(1, "variables", &[]), count)
                .view(shape.as_slice())
                .to_kind(Kind::Double)
                .set_requires_grad(true);
            let forwards = (map.images(&variables) * &derivative).sum(None::<Kind>);
            let got = map.pull_back(&derivative);
            let backwards = (&variables * &got).sum(None::<Kind>);
            let difference = (&forwards - &backwards).double_value(&[]);
            assert!(difference.abs() < 1e-12 * forwards.double_value(&[]).abs().max(1.));
            let wanted = Tensor::run_backward(&[forwards], &[&variables], false, false).remove(0);
            assert!(largest(&(got - wanted)) < 1e-12, "{kind} {factor}");
        }
        Ok(())
    }

    #[test]
    fn the_fitted_images_are_the_nearest_ones() -> Result<()> {
        for (kind, factor) in ALL {
            let (map, n) = of(kind, factor)?;
            let wanted = normal("start", n);
            let fitted = map.fit(&wanted);
            // at the least squares no change of the variables comes nearer
            let slope = map.pull_back(&(map.images(&fitted) - &wanted));
            assert!(largest(&slope) < 1e-12, "{kind} {factor}");
            let again = map.fit(&map.images(&fitted));
            assert!(largest(&(again - &fitted)) < 1e-12, "{kind} {factor}");
            if factor == 1 || kind == Parameters::Pixels {
                assert!(largest(&(map.images(&fitted) - &wanted)) < 1e-12);
            }
        }
        Ok(())
    }

    #[test]
    fn several_images_cost_at_most_the_room_of_one() -> Result<()> {
        for (kind, factor) in ALL {
            let (map, n) = of(kind, factor)?;
            let variables = map.fit(&normal("start", n)).numel() as i64;
            let room = (CLASSES * ROOM) as i64 * 3 * SIDE * SIDE;
            assert!(variables <= room, "{kind} {factor}");
            let unused = if factor == 5 { 4 * 3 * 4 } else { 0 }; // 144 = 5 · 28 + 4
            assert_eq!(variables, room - unused, "{kind} {factor}");
        }
        Ok(())
    }

    #[test]
    fn images_in_single_precision_stay_in_it() -> Result<()> {
        for (kind, factor) in ALL {
            let (map, n) = of(kind, factor)?;
            let start = normal("start", n).to_kind(Kind::Float);
            let variables = map.fit(&start);
            let images = map.images(&variables);
            for t in [&variables, &images, &map.pull_back(&start)] {
                assert_eq!((t.kind(), t.dim()), (Kind::Float, 4), "{kind} {factor}");
            }
            assert_eq!(images.size(), start.size());
        }
        Ok(())
    }

    #[test]
    fn a_budget_that_divides_no_image_is_refused() {
        for (kind, factor) in [
            (Parameters::Tiles, 2),
            (Parameters::Tiles, 25),
            (Parameters::Frequency, 145),
        ] {
            let refused = of(kind, factor).map(|_| ());
            let text = refused.expect_err("is refused").to_string();
            assert!(text.contains("images_per_room"), "{text}");
        }
    }
}
