//! Mean and spread of what was measured several times.

/// The mean; none of no values.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    (n > 0.).then(|| values.iter().sum::<f64>() / n)
}

/// The sample standard deviation (n − 1); none of fewer than two values.
#[must_use]
pub fn sd(values: &[f64]) -> Option<f64> {
    let mean = mean(values)?;
    let square: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    (values.len() > 1).then(|| (square / (values.len() - 1) as f64).sqrt())
}
