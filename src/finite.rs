//! Checks for infinite values and NaN.

use crate::{Error, Result};

/// Returns an error that names `what` when any value is infinite or NaN.
pub(crate) fn check(what: impl FnOnce() -> String, values: &[f32]) -> Result<()> {
    match first(values) {
        None => Ok(()),
        Some(first) => {
            let count = values.iter().filter(|v| !v.is_finite()).count();
            Err(Error::NotFinite { what: what(), count, first })
        }
    }
}

/// The index of the first value that is infinite or NaN.
pub(crate) fn first(values: &[f32]) -> Option<usize> {
    const BLOCK: usize = 1024;
    // Without an early exit, the compiler can vectorise the search within a block.
    let is_bad = |block: &[f32]| block.iter().fold(false, |bad, v| bad | !v.is_finite());
    let block = values.chunks(BLOCK).position(is_bad)?;
    values[block * BLOCK..].iter().position(|v| !v.is_finite()).map(|i| block * BLOCK + i)
}

/// Serialization of an optional number in JSON, with the strings `"inf"`, `"-inf"` and `"NaN"` for values that JSON lacks.
pub(crate) mod json {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Number {
        Finite(f64),
        Other(String),
    }

    pub fn serialize<S: Serializer>(value: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
        let number = value.map(|v| if v.is_finite() { Number::Finite(v) } else { Number::Other(v.to_string()) });
        number.serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
        match Option::<Number>::deserialize(from)? {
            None => Ok(None),
            Some(Number::Finite(value)) => Ok(Some(value)),
            Some(Number::Other(word)) => match word.as_str() {
                "inf" => Ok(Some(f64::INFINITY)),
                "-inf" => Ok(Some(f64::NEG_INFINITY)),
                "NaN" => Ok(Some(f64::NAN)),
                _ => Err(D::Error::custom(format!("\"{word}\" is not a number"))),
            },
        }
    }
}
