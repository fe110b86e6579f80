use super::*;
use crate::data::tests::golden::golden;

fn close(got: &Tensor, want: &Tensor) -> f64 {
    let (got, want) = (got.to_kind(Kind::Double), want.to_kind(Kind::Double));
    ((&got - &want).norm() / want.norm()).double_value(&[])
}

fn every_family(side: i64) -> Vec<Augmentation> {
    let mut rng = random::generator(1, "families", &[]);
    AugmentFamily::ALL
        .iter()
        .filter_map(|family| Augmentation::draw(&mut rng, &[*family], 3, side))
        .collect()
}

#[test]
fn only_the_families_that_are_asked_for_are_drawn() {
    let mut rng = random::generator(1, "some families", &[]);
    let some = [AugmentFamily::Crop, AugmentFamily::Flip];
    let (mut crops, mut flips) = (0, 0);
    for _ in 0..100 {
        match Augmentation::draw(&mut rng, &some, 2, 8) {
            Some(Augmentation::Crop { .. }) => crops += 1,
            Some(Augmentation::Flip { .. }) => flips += 1,
            other => panic!("{other:?} was not asked for"),
        }
    }
    assert!(crops > 30 && flips > 30, "{crops} crops, {flips} flips");
    assert!(Augmentation::draw(&mut rng, &[], 2, 8).is_none());
}

#[test]
fn every_operation_equals_the_reference() {
    let golden = golden("augment");
    for (kind, tolerance) in [(Kind::Double, 1e-8), (Kind::Float, 2e-3)] {
        let get = |name: &str| golden[name].to_kind(kind);
        let (x, u, u2) = (get("x"), get("u"), get("u2"));
        for (name, got) in [
            ("brightness", brightness(&x, &u)),
            ("saturation", saturation(&x, &u)),
            ("contrast", contrast(&x, &u)),
            ("flip", flip(&x, &u)),
            ("crop", crop(&x, &golden["crop_y"], &golden["crop_x"])),
            (
                "cutout",
                cutout(&x, &golden["cutout_y"], &golden["cutout_x"]),
            ),
            ("scale", scale(&x, &u, &u2)),
            ("rotate", rotate(&x, &u)),
        ] {
            let error = close(&got, &golden[name]);
            assert!(error < tolerance, "{name} in {kind:?}: {error:e}");
        }
    }
}

#[test]
fn a_cutout_centred_at_the_side_still_blanks_the_border() {
    let x = Tensor::ones([1, 1, 8, 8], (Kind::Float, tch::Device::Cpu));
    // The square has 4 cells: rows 6 … 9 become 6 and 7; columns −2 … 1 become 0 and 1.
    let out = cutout(
        &x,
        &Tensor::from_slice(&[8i64]),
        &Tensor::from_slice(&[0i64]),
    );
    assert_eq!(out.sum(Kind::Float).double_value(&[]), 60.0);
    assert_eq!(out.double_value(&[0, 0, 6, 0]), 0.0);
}

#[test]
fn a_crop_moves_pixels_without_changing_them_and_fills_with_zeros() {
    let x = Tensor::arange_start(1, 17, (Kind::Float, tch::Device::Cpu)).view([1, 1, 4, 4]);
    let out = crop(
        &x,
        &Tensor::from_slice(&[1i64]),
        &Tensor::from_slice(&[-2i64]),
    );
    let got: Vec<f32> = out.view([-1]).try_into().unwrap();
    assert_eq!(
        got,
        [
            0., 0., 5., 6., 0., 0., 9., 10., 0., 0., 13., 14., 0., 0., 0., 0.
        ]
    );
}

#[test]
fn the_same_generator_draws_the_same_augmentation() {
    let x = random::normal(&mut random::generator(0, "x", &[]), 5 * 3 * 64).view([5, 3, 8, 8]);
    for i in 0..20 {
        let once = || {
            let mut rng = random::generator(3, "dsa", &[i]);
            let drawn = Augmentation::draw(&mut rng, AugmentFamily::ALL, 5, 8);
            drawn.expect("there are families").apply(&x)
        };
        assert!(once().equal(&once()));
    }
}

#[test]
fn every_family_can_be_differentiated_twice_and_keeps_shape_kind_and_layout() {
    for augmentation in every_family(8) {
        let x = random::normal(&mut random::generator(0, "x", &[]), 3 * 3 * 64)
            .view([3, 3, 8, 8])
            .to_kind(Kind::Double);
        let x = x.set_requires_grad(true);
        let out = augmentation.apply(&x);
        assert_eq!(
            (out.size(), out.kind(), out.is_contiguous()),
            (x.size(), Kind::Double, true),
            "{augmentation:?}"
        );
        // f = Σ out³: its gradient is 3 Aᵀ out², linear maps being A; the gradient of ½‖∇f‖² must
        // agree with differences.
        let f = |x: &Tensor| augmentation.apply(x).pow_tensor_scalar(3).sum(Kind::Double);
        let gradient = Tensor::run_backward(&[f(&x)], &[&x], true, true).remove(0);
        let second = Tensor::run_backward(
            &[gradient.square().sum(Kind::Double) * 0.5],
            &[&x],
            false,
            false,
        )
        .remove(0);
        let way = random::normal(&mut random::generator(1, "way", &[]), 3 * 3 * 64)
            .view([3, 3, 8, 8])
            .to_kind(Kind::Double);
        let at = |step: f64| {
            let moved = (x.detach() + &way * step).set_requires_grad(true);
            (Tensor::run_backward(&[f(&moved)], &[&moved], false, false)
                .remove(0)
                .square()
                .sum(Kind::Double)
                * 0.5)
                .double_value(&[])
        };
        let (want, got) = (
            (at(1e-5) - at(-1e-5)) / 2e-5,
            (second * &way).sum(Kind::Double).double_value(&[]),
        );
        assert!(
            (want - got).abs() <= 1e-6 * want.abs().max(1.0),
            "{augmentation:?}: {want} {got}"
        );
    }
}
