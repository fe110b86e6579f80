//! Balanced inner-loop loss: late starts count more, early ones less.

/// The factor of the student's cross-entropy for a start at epoch t of U{0 … T⁺ − 1}; logarithms to
/// base 5.
///
/// With h = ⌊T⁺/2⌋: log₅(t − h + 8) from h on, 1 / log₅(h − t + 8) before it. Source: arXiv
/// 2310.10541, balanced inner-loop loss.
pub fn balance_factor(start_epoch: usize, max_start_epoch: usize) -> f64 {
    let half = max_start_epoch / 2;
    if start_epoch >= half {
        ((start_epoch - half + 8) as f64).log(5.)
    } else {
        1. / ((half - start_epoch + 8) as f64).log(5.)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_starts_weigh_more() {
        let factors: Vec<f64> = (0..20).map(|t| balance_factor(t, 20)).collect();
        assert!(factors.windows(2).all(|w| w[0] < w[1]));
        assert!((balance_factor(10, 20) - 8f64.ln() / 5f64.ln()).abs() < 1e-12);
        assert!((balance_factor(0, 20) - 5f64.ln() / 18f64.ln()).abs() < 1e-12);
    }
}
