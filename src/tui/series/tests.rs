use super::*;

fn series(points: impl IntoIterator<Item = (f64, f64)>) -> Series {
    let mut series = Series::new();
    points
        .into_iter()
        .for_each(|(step, value)| series.push(step, value));
    series
}

/// Deterministic values that look like noise.
fn noise(i: usize) -> f64 {
    f64::from((i as u32).wrapping_mul(2_654_435_761) >> 8) / f64::from(1 << 24)
}

#[test]
fn a_spike_among_a_million_points_is_kept() {
    let mut s = Series::new();
    for i in 0..1_000_000 {
        s.push(i as f64, if i == 777_777 { 50. } else { noise(i) });
    }
    let buckets: Vec<Bucket> = s.decimate((0., 999_999.), 150).collect();
    assert_eq!(buckets.len(), 150);
    assert_eq!(buckets.iter().map(|b| b.count).sum::<usize>(), 1_000_000);
    let spiked: Vec<usize> = (0..150).filter(|&i| buckets[i].max == 50.).collect();
    assert_eq!(spiked, [777_777 * 150 / 1_000_000]);
    assert!(
        buckets
            .iter()
            .all(|b| b.min < 0.01 && (b.max > 0.99) && !b.any_nan)
    );
    assert_eq!(s.bounds((0., 999_999.)).map(|b| b.1), Some(50.));
    assert_eq!(s.bounds((777_778., 999_999.)).map(|b| b.1 < 1.), Some(true));
}

#[test]
fn a_million_points_take_a_few_megabytes() {
    let s = series((0..1_000_000).map(|i| (f64::from(i) + 1., noise(i as usize))));
    let summaries: usize = s
        .levels
        .iter()
        .map(|l| l.capacity() * size_of::<Summary>())
        .sum();
    assert!(matches!(s.steps, Steps::Even { .. }));
    assert!(s.values.capacity() * size_of::<f32>() + summaries < 8_000_000);
}

#[test]
fn the_pyramid_agrees_with_the_values() {
    let value = |i: usize| {
        if i % 97 == 13 {
            f64::NAN
        } else {
            noise(i) - 0.3
        }
    };
    let s = series((0..5_000).map(|i| (i as f64 * 0.5 + f64::from(u8::from(i > 3_000)), value(i))));
    assert!(matches!(s.steps, Steps::Listed(_)));
    for (from, to) in [
        (0, 5_000),
        (1, 4_999),
        (31, 1_057),
        (32, 1_056),
        (1_024, 2_048),
        (4_990, 5_000),
        (77, 78),
        (5, 5),
    ] {
        let all = s.summary(from, to);
        let finite: Vec<f32> = (from..to)
            .map(|i| value(i) as f32)
            .filter(|v| v.is_finite())
            .collect();
        assert_eq!(all.finite as usize, finite.len());
        assert_eq!(
            all.min,
            finite.iter().copied().fold(f32::INFINITY, f32::min)
        );
        assert_eq!(
            all.max,
            finite.iter().copied().fold(f32::NEG_INFINITY, f32::max)
        );
        assert_eq!(
            all.least_positive,
            finite
                .iter()
                .copied()
                .filter(|v| *v > 0.)
                .fold(f32::INFINITY, f32::min)
        );
        assert_eq!(all.any_nan, finite.len() < to - from);
        assert!((all.sum - finite.iter().map(|&v| f64::from(v)).sum::<f64>()).abs() < 1e-6);
    }
}

#[test]
fn what_is_not_finite_is_marked_and_spoils_no_bounds() {
    let s = series([
        (1., 1.),
        (2., f64::NAN),
        (3., f64::INFINITY),
        (4., -2.),
        (5., f64::NEG_INFINITY),
        (6., 1e300),
    ]);
    assert_eq!(s.bounds((1., 6.)), Some((-2., 1.)));
    assert_eq!(s.positive_bounds((1., 6.)), Some((1., 1.)));
    assert_eq!(s.bounds((2., 3.)), None);
    let marks: Vec<bool> = s.decimate((1., 6.), 6).map(|b| b.any_nan).collect();
    assert_eq!(marks, [false, true, true, false, true, true]);
    let lone: Vec<Bucket> = s.decimate((2., 2.), 1).collect();
    assert!(lone[0].count == 1 && lone[0].any_nan && lone[0].min.is_nan());
}

#[test]
fn a_resumed_run_does_its_steps_again() {
    let mut s = series((1..=100).map(|i| (f64::from(i), 1.)));
    (61..=80).for_each(|i| s.push(f64::from(i), 2.));
    assert_eq!((s.len(), s.last()), (80, Some((80., 2.))));
    assert_eq!(
        (s.nearest(60.), s.nearest(61.)),
        (Some((60., 1.)), Some((61., 2.)))
    );
    assert_eq!(s.bounds((1., 60.)), Some((1., 1.)));
    assert_eq!(s.bounds((61., 100.)), Some((2., 2.)));
    s.push(80., 3.);
    assert_eq!((s.len(), s.last()), (80, Some((80., 3.))));
    s.truncate_from(0.);
    assert!(s.is_empty() && s.last().is_none());
    s.push(7., 4.);
    assert_eq!(
        (s.extent(), s.bounds((0., 9.))),
        (Some((7., 7.)), Some((4., 4.)))
    );
}

#[test]
fn a_rollback_across_blocks_leaves_no_old_summary() {
    let mut s = series((0..5_000).map(|i| (f64::from(i), 9.)));
    (1_500..4_000).for_each(|i| s.push(f64::from(i), 1.));
    assert_eq!(s.bounds((1_500., 5_000.)), Some((1., 1.)));
    assert_eq!(s.len(), 4_000);
}

#[test]
fn the_nearest_point_is_found_between_and_outside_steps() {
    let s = series([(10., 1.), (20., 2.), (21., 3.)]);
    let at = |step| s.nearest(step).map(|p| p.0);
    assert_eq!(
        [at(-5.), at(14.), at(16.), at(20.4), at(1e9)].map(|p| p.unwrap_or(0.)),
        [10., 10., 20., 20., 21.]
    );
    assert_eq!(Series::new().nearest(3.), None);
}

#[test]
fn nothing_comes_of_nothing() {
    let s = Series::new();
    assert_eq!(
        (s.len(), s.last(), s.extent(), s.bounds((0., 1.))),
        (0, None, None, None)
    );
    assert!(
        s.decimate((0., 1.), 3)
            .all(|b| b.count == 0 && b.min.is_nan() && b.first.is_nan())
    );
    assert_eq!(s.decimate((0., 1.), 0).count(), 0);
    let one = series([(3., 1.)]);
    assert!(one.decimate((f64::NAN, f64::NAN), 2).all(|b| b.count == 0));
    assert!(one.decimate((4., 2.), 2).all(|b| b.count == 0));
    let mut skipped = Series::new();
    skipped.push(f64::NAN, 1.);
    assert!(skipped.is_empty());
}

#[test]
fn buckets_hold_each_point_once() {
    let s = series((0..1_000).map(|i| (f64::from(i) * 0.5, f64::from(i))));
    let buckets: Vec<Bucket> = s.decimate((50., 299.5), 7).collect();
    assert_eq!(buckets.iter().map(|b| b.count).sum::<usize>(), 500);
    assert_eq!((buckets[0].first, buckets[6].last), (100., 599.));
    assert!(
        buckets
            .windows(2)
            .all(|pair| pair[0].last + 1. == pair[1].first)
    );
}

#[test]
fn smoothing_is_the_debiased_average_of_all_points() {
    let values: Vec<f64> = (0..500)
        .map(|i| if i == 40 { f64::NAN } else { noise(i) })
        .collect();
    let s = series(values.iter().enumerate().map(|(i, &v)| (i as f64, v)));
    let (mut e, mut mass, mut expected) = (0., 0., Vec::new());
    for &v in &values {
        if v.is_finite() {
            (e, mass) = (0.9 * e + 0.1 * v, 0.9 * mass + 0.1);
        }
        expected.push(e / mass);
    }
    let all: Vec<f64> = s.smoothed((0., 499.), 500, 0.9).collect();
    assert!(all.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6));
    // a window remembers what came before it
    let window: Vec<f64> = s.smoothed((300., 399.), 100, 0.9).collect();
    assert!(
        window
            .iter()
            .zip(&expected[300..400])
            .all(|(a, b)| (a - b).abs() < 1e-6)
    );
    // without smoothing it is the values
    let raw: Vec<f64> = s.smoothed((0., 9.), 10, 0.).collect();
    assert!(raw.iter().zip(&values).all(|(a, b)| (a - b).abs() < 1e-6));
}
