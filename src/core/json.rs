//! Numbers in JSON: one that is not finite is written as null, and null is read as NaN.

use serde::{Deserialize, Deserializer};

/// For `deserialize_with`: a number, or NaN for null.
pub fn real<'de, D: Deserializer<'de>>(d: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(d)?.unwrap_or(f64::NAN))
}

/// For `default`, beside [`real`]: NaN for a number that earlier versions did not write.
pub fn absent() -> f64 {
    f64::NAN
}

/// For `deserialize_with`: a list of numbers, with NaN for null.
pub fn reals<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<f64>, D::Error> {
    Ok(Vec::<Option<f64>>::deserialize(d)?
        .into_iter()
        .map(|v| v.unwrap_or(f64::NAN))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Event {
        #[serde(default = "absent", deserialize_with = "real")]
        number: f64,
    }

    #[test]
    fn a_number_that_is_null_or_absent_is_read_as_nan() {
        for text in [r#"{"number":null}"#, "{}"] {
            let event: Event = serde_json::from_str(text).unwrap();
            assert!(event.number.is_nan(), "{text}");
        }
    }
}
