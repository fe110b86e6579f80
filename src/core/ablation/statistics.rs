//! Paired comparisons: what the differences of a few seeds say.
//!
//! Everything is exact for the few values that a study has, so that nobody has to trust an
//! approximation: the t distribution has a closed form for whole degrees of freedom (Abramowitz and
//! Stegun, 26.7.3 and 26.7.4), and the sign-flip test tries every pattern of signs.

use crate::statistics::{mean, sd};
use std::f64::consts::{FRAC_PI_2, PI};

/// The coverage of intervals.
pub const CONFIDENCE: f64 = 0.95;
/// The chance that a true effect of the size [`Paired::resolves`] is found.
pub const POWER: f64 = 0.8;
/// More differences have too many patterns of signs to try them all.
pub const MOST_SIGNS: usize = 20;

/// What the differences of several seeds say about their mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Paired {
    /// How many differences there are, at least one.
    pub n: usize,
    pub mean: f64,
    /// What only two or more of them have.
    pub spread: Option<Spread>,
    /// Exact two-sided p of the sign-flip test; none for more than [`MOST_SIGNS`] differences.
    pub sign_flip: Option<f64>,
}

/// How far differences lie apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Sample standard deviation (n − 1).
    pub sd: f64,
    /// 95 % t interval of the mean.
    pub interval: (f64, f64),
    /// Two-sided p of the t-test that the mean is 0.
    pub p: f64,
    /// The size of a true difference that this many seeds find with 80 % power, if their standard
    /// deviation is this one.
    pub resolves: f64,
}

impl Paired {
    /// None without a difference.
    #[must_use]
    pub fn of(differences: &[f64]) -> Option<Self> {
        let n = differences.len();
        let mean = mean(differences)?;
        Some(Self {
            n,
            mean,
            spread: sd(differences).map(|sd| Spread::of(mean, sd, n)),
            sign_flip: sign_flip(differences),
        })
    }
}

impl Spread {
    fn of(mean: f64, sd: f64, n: usize) -> Self {
        let df = n - 1;
        let error = sd / (n as f64).sqrt();
        let quantile = t_quantile(0.5 + CONFIDENCE / 2., df);
        Self {
            sd,
            interval: (mean - quantile * error, mean + quantile * error),
            p: match mean == 0. {
                true => 1.,
                false => 1. - t_within((mean / error).abs(), df),
            },
            resolves: (quantile + t_quantile(POWER, df)) * error,
        }
    }
}

/// The probability that a t-distributed number with `df` degrees of freedom, at least one, lies
/// between −t and t.
fn t_within(t: f64, df: usize) -> f64 {
    within((t / (df as f64).sqrt()).atan(), df)
}

/// The same for t = √df · tan θ.
fn within(theta: f64, df: usize) -> f64 {
    let (sin, cos) = theta.sin_cos();
    // terms of the sum: cos^first θ, and each time two powers more
    let first = df % 2;
    let (mut term, mut sum) = (if first == 1 { cos } else { 1. }, 0.);
    for power in (first..df.saturating_sub(1)).step_by(2) {
        sum += term;
        term *= cos * cos * (power + 1) as f64 / (power + 2) as f64;
    }
    match first {
        1 => (theta + sin * sum) * 2. / PI,
        _ => sin * sum,
    }
}

/// The number below which a t-distributed number with `df` degrees of freedom lies with probability
/// `p`, which is from 0.5 up to below 1.
fn t_quantile(p: f64, df: usize) -> f64 {
    let (mut low, mut high) = (0., FRAC_PI_2);
    // each time one bit more
    for _ in 0..f64::MANTISSA_DIGITS + 2 {
        let middle = (low + high) / 2.;
        if within(middle, df) < 2. * p - 1. {
            low = middle;
        } else {
            high = middle;
        }
    }
    (df as f64).sqrt() * ((low + high) / 2.).tan()
}

/// The share of all patterns of signs whose sum is as far from 0 as that of the differences
/// themselves, or farther: the exact two-sided p, if each difference could as well have had the
/// other sign.
fn sign_flip(differences: &[f64]) -> Option<f64> {
    let n = differences.len();
    if n == 0 || n > MOST_SIGNS {
        return None;
    }
    let sum = |pattern: u32| {
        let signed = |(i, d): (usize, &f64)| if pattern >> i & 1 == 1 { -d } else { *d };
        differences
            .iter()
            .enumerate()
            .map(signed)
            .sum::<f64>()
            .abs()
    };
    // sums that are equal can differ by rounding
    let rounding = 1e-12 * differences.iter().map(|d| d.abs()).sum::<f64>();
    let observed = sum(0) - rounding;
    // a pattern and its opposite have the same sum
    let half = 1_u32 << (n - 1);
    let as_far = (0..half).filter(|pattern| sum(*pattern) >= observed);
    Some(as_far.count() as f64 / f64::from(half))
}

/// The smallest p that the sign-flip test of `n` differences, at least one, can reach.
#[must_use]
pub fn smallest_sign_flip(n: usize) -> f64 {
    0.5_f64.powi(n as i32 - 1)
}

/// p-values of several tests, corrected so that the chance of one false finding or more among them
/// stays below the level at which they are read (Holm 1979); in the order given.
#[must_use]
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut corrected = vec![0.; p.len()];
    let mut largest = 0_f64;
    for (rank, index) in order.into_iter().enumerate() {
        largest = largest.max(p[index] * (p.len() - rank) as f64).min(1.);
        corrected[index] = largest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(found: f64, wanted: f64) {
        let difference = (found - wanted).abs() / wanted.abs().max(1e-3);
        assert!(difference < 1e-9, "found {found}, expected {wanted}");
    }

    /// Differences of six seeds, in percentage points.
    const SIX: [f64; 6] = [1.2, 0.4, 2.1, -0.3, 1.7, 0.9];
    const THREE: [f64; 3] = [0.5, 1.5, 0.75];

    #[test]
    fn t_is_that_of_scipy() {
        // scipy.stats.t.ppf(0.975, df), t.ppf(0.8, df)
        for (df, upper, power) in [
            (1, 12.706204736174694, 1.3763819204711738),
            (2, 4.302652729749462, 1.0606601717798214),
            (3, 3.1824463052837078, 0.9784723123633042),
            (5, 2.5705818356363146, 0.9195437802408271),
            (6, 2.4469118511449786, 0.9057032851805317),
            (19, 2.0930240544083087, 0.8609505502689286),
        ] {
            close(t_quantile(0.975, df), upper);
            close(t_quantile(0.8, df), power);
        }
        // 2 * scipy.stats.t.sf(t, df)
        for (t, df, p) in [
            (0.5, 1, 0.7048327646991335),
            (2.571, 5, 0.0499746346838514),
            (3., 2, 0.09546596626670913),
            (1.3, 8, 0.2298036249185253),
            (7.7, 19, 2.942723804035116e-07),
            (12., 4, 0.000276428548502973),
        ] {
            close(1. - t_within(t, df), p);
        }
    }

    #[test]
    fn a_paired_comparison_is_that_of_scipy() {
        // r = scipy.stats.ttest_1samp(d, 0); r.pvalue; r.confidence_interval(0.95)
        // scipy.stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf)
        // (t.ppf(0.975, n - 1) + t.ppf(0.8, n - 1)) * d.std(ddof=1) / np.sqrt(n)
        for (d, mean, sd, p, low, high, flip, resolves) in [
            (
                &SIX[..],
                1.0,
                0.8717797887081348,
                0.037558967284466976,
                0.08512321958869284,
                1.9148767804113076,
                0.0625,
                1.242144810337974,
            ),
            (
                &THREE,
                0.9166666666666666,
                0.5204164998665333,
                0.09273529127344522,
                -0.376119586468899,
                2.2094529198022324,
                0.25,
                1.6114749727351152,
            ),
        ] {
            let found = Paired::of(d).unwrap();
            let spread = found.spread.unwrap();
            close(found.mean, mean);
            close(spread.sd, sd);
            close(spread.p, p);
            close(spread.interval.0, low);
            close(spread.interval.1, high);
            close(found.sign_flip.unwrap(), flip);
            close(spread.resolves, resolves);
        }
        // scipy.stats.permutation_test as above
        let ten = [0.43, 0.17, 0.94, 0.4, -0.24, 0.66, 1.6, 1.25, -0.4, -0.97];
        close(sign_flip(&ten).unwrap(), 0.15625);
        close(sign_flip(&[1., 1., 2., -1.]).unwrap(), 0.5);
    }

    #[test]
    fn six_seeds_find_a_difference_of_one_point_and_a_half() {
        // with a standard deviation of one point
        close(Spread::of(0.3, 1., 6).resolves, 1.4248378161859803);
        assert_eq!(
            [1, 3, 6].map(smallest_sign_flip),
            [1., 0.25, 0.03125],
            "three seeds cannot show anything at the level 0.05"
        );
        assert_eq!(sign_flip(&[1., 2., 0.5, 3., 1., 1.]), Some(0.03125));
    }

    #[test]
    fn one_seed_has_no_interval_and_equal_runs_no_effect() {
        let one = Paired::of(&[2.]).unwrap();
        assert_eq!((one.mean, one.spread, one.sign_flip), (2., None, Some(1.)));
        assert_eq!(Paired::of(&[]), None);
        let same = Paired::of(&[0.; 4]).unwrap();
        assert_eq!(same.sign_flip, Some(1.));
        assert!(
            same.spread
                .is_some_and(|s| s.p == 1. && s.interval == (0., 0.))
        );
        let shifted = Paired::of(&[0.5; 4]).unwrap().spread.unwrap();
        assert_eq!((shifted.p, shifted.interval), (0., (0.5, 0.5)));
        assert_eq!(sign_flip(&[1.; MOST_SIGNS + 1]), None);
    }

    #[test]
    fn holm_is_that_of_statsmodels() {
        // statsmodels.stats.multitest.multipletests(p, method="holm")[1]
        let found = holm(&[0.01, 0.04, 0.03, 0.005, 0.5]);
        for (found, wanted) in found.iter().zip([0.04, 0.09, 0.09, 0.025, 0.5]) {
            close(*found, wanted);
        }
        assert!(holm(&[]).is_empty());
    }
}
