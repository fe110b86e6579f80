//! Numbers in JSON: one that is not finite is written as null, and null is read as NaN.

use serde::{Deserialize, Deserializer};

/// For `deserialize_with`: a number, or NaN for null.
pub fn real<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(d)?.unwrap_or(f64::NAN))
}

/// For `deserialize_with`: a list of numbers, with NaN for null.
pub fn reals<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<f64>, D::Error> {
    Ok(Vec::<Option<f64>>::deserialize(d)?
        .into_iter()
        .map(|v| v.unwrap_or(f64::NAN))
        .collect())
}
