//! Representative initialisation: start from the real images that stand for their class.

use crate::random;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use tch::Tensor;

/// Lloyd's iterations stop here if the assignment has not settled before.
const MAX_ITERATIONS: usize = 100;

/// The rows of `ipc` real images for every class, class after class, none twice.
///
/// `logits` (N, D) are those of real images under one trained expert, `rows_of_class` the rows of
/// each class. Per class: k-means with k = `ipc`, then for each centre the nearest image that is
/// not taken yet. A class with fewer than `ipc` images gives all it has. Source: arXiv 2310.10541,
/// representative initialisation.
pub fn representatives(
    logits: &Tensor,
    rows_of_class: &[Vec<i64>],
    ipc: usize,
    seed: u64,
) -> Vec<Vec<i64>> {
    let dimensions = logits.size().get(1).map_or(0, |d| *d as usize);
    let values = super::to_vec(logits);
    rows_of_class
        .par_iter()
        .enumerate()
        .map(|(class, rows)| {
            let points: Vec<&[f64]> = rows
                .iter()
                .map(|r| &values[*r as usize * dimensions..][..dimensions])
                .collect();
            let centres = kmeans(
                &points,
                ipc,
                &mut random::generator(seed, "k-means", &[class as u64]),
            );
            let mut free: Vec<usize> = (0..points.len()).collect();
            let mut chosen = Vec::with_capacity(ipc);
            for centre in &centres {
                let nearest = (0..free.len()).min_by(|a, b| {
                    square_distance(points[free[*a]], centre)
                        .total_cmp(&square_distance(points[free[*b]], centre))
                });
                chosen.extend(nearest.map(|i| rows[free.swap_remove(i)]));
            }
            chosen
        })
        .collect()
}

/// k-means: k-means++ seeding, then Lloyd's iterations until no point changes its centre. At most
/// `points.len()` centres.
///
/// A centre that loses all its points moves to the point that is farthest from its own centre.
pub fn kmeans(points: &[&[f64]], k: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
    let mut centres = seed_centres(points, k.min(points.len()), rng);
    let mut nearest = vec![usize::MAX; points.len()];
    for _ in 0..MAX_ITERATIONS {
        let now: Vec<usize> = points
            .iter()
            .map(|p| nearest_centre(p, &centres).0)
            .collect();
        if now == nearest {
            break;
        }
        nearest = now;
        let mut sums = vec![vec![0.; points.first().map_or(0, |p| p.len())]; centres.len()];
        let mut counts = vec![0usize; centres.len()];
        for (p, &c) in points.iter().zip(&nearest) {
            counts[c] += 1;
            sums[c].iter_mut().zip(*p).for_each(|(s, v)| *s += v);
        }
        for (c, (sum, count)) in sums.into_iter().zip(counts).enumerate() {
            if count > 0 {
                centres[c] = sum.into_iter().map(|s| s / count as f64).collect();
            } else if let Some(far) = points.iter().max_by(|a, b| {
                nearest_centre(a, &centres)
                    .1
                    .total_cmp(&nearest_centre(b, &centres).1)
            }) {
                centres[c] = far.to_vec();
            }
        }
    }
    centres
}

/// k-means++: every further centre is a point drawn with probability proportional to its squared
/// distance from the nearest one.
fn seed_centres(points: &[&[f64]], k: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
    let mut centres: Vec<Vec<f64>> = Vec::with_capacity(k);
    let mut distance = vec![f64::INFINITY; points.len()];
    while centres.len() < k {
        let total: f64 = distance.iter().sum();
        let next = if centres.is_empty() || total <= 0. || !total.is_finite() {
            random::below(rng, points.len() as u64) as usize
        } else {
            let mut left = rng.random::<f64>() * total;
            distance
                .iter()
                .position(|d| {
                    left -= d;
                    left < 0.
                })
                .unwrap_or(points.len() - 1)
        };
        centres.push(points[next].to_vec());
        for (d, p) in distance.iter_mut().zip(points) {
            *d = d.min(square_distance(p, points[next]));
        }
    }
    centres
}

fn nearest_centre(point: &[f64], centres: &[Vec<f64>]) -> (usize, f64) {
    centres
        .iter()
        .map(|c| square_distance(point, c))
        .enumerate()
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap_or((0, 0.))
}

fn square_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clusters() -> Vec<[f64; 2]> {
        (0..60)
            .map(|i| {
                [
                    f64::from(i % 3) * 10. + f64::from(i) * 0.01,
                    f64::from(i % 3) * -5.,
                ]
            })
            .collect()
    }

    #[test]
    fn kmeans_finds_well_separated_clusters() {
        let points = clusters();
        let views: Vec<&[f64]> = points.iter().map(|p| p.as_slice()).collect();
        let mut centres = kmeans(&views, 3, &mut random::generator(3, "test", &[]));
        centres.sort_by(|a, b| a[0].total_cmp(&b[0]));
        for (c, centre) in centres.iter().enumerate() {
            assert!((centre[1] + 5. * c as f64).abs() < 1e-9, "{centres:?}");
        }
    }

    #[test]
    fn every_ipc_gives_that_many_images_of_the_class_without_repeats() {
        let points: Vec<f64> = clusters().concat();
        let logits = Tensor::from_slice(&points).view([60, 2]);
        let rows: Vec<Vec<i64>> = vec![(0..30).collect(), (30..60).collect()];
        for ipc in [1, 3, 10, 15, 30] {
            let chosen = representatives(&logits, &rows, ipc, 0);
            for (class, of_class) in chosen.iter().enumerate() {
                let mut sorted = of_class.clone();
                sorted.sort_unstable();
                sorted.dedup();
                assert_eq!(sorted.len(), ipc);
                assert!(sorted.iter().all(|r| rows[class].contains(r)));
            }
        }
    }

    #[test]
    fn identical_points_do_not_hang_or_repeat() {
        let logits = Tensor::zeros([5, 2], (tch::Kind::Float, tch::Device::Cpu));
        let chosen = representatives(&logits, &[(0..5).collect()], 4, 0);
        assert_eq!(chosen[0].len(), 4);
    }
}
