//! Text forms of durations and sizes, as they stand in a manifest, and what they mean.

use crate::rules;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;
use std::fmt;

/// A duration as Gateway API writes it (GEP-2257): one to four pairs of a number and `h`, `m`, `s` or `ms`, such as `90s` or `1h30m`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Duration(pub String);

/// A size in bytes as Kubernetes writes quantities: an integer, optionally with `k`, `M`, `G`, `Ki`, `Mi` or `Gi`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ByteSize(pub String);

/// Why a text is not the scalar that it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScalarError {
    /// Not of the form that the type's documentation gives.
    Form,
    /// Of the right form, but outside the bounds of [`crate::rules`].
    Bound,
}

const DURATION_PATTERN: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";
const SIZE_PATTERN: &str = "^[0-9]{1,12}(k|M|G|Ki|Mi|Gi)?$";

impl Duration {
    /// The longest duration that a manifest may ask for.
    pub const MAX: std::time::Duration = std::time::Duration::from_hours(24);

    /// Parses the text; at most [`Self::MAX`].
    pub fn parse(&self) -> Result<std::time::Duration, ScalarError> {
        let mut rest = self.0.as_str();
        let mut total = std::time::Duration::ZERO;
        let mut pairs = 0;
        while !rest.is_empty() {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (number, tail) = rest.split_at(digits);
            let unit_end = tail.bytes().position(|b| b.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_end);
            if !(1..=5).contains(&digits) || pairs == 4 {
                return Err(ScalarError::Form);
            }
            let number: u64 = number.parse().map_err(|_| ScalarError::Form)?;
            total += match unit {
                "h" => std::time::Duration::from_hours(number),
                "m" => std::time::Duration::from_mins(number),
                "s" => std::time::Duration::from_secs(number),
                "ms" => std::time::Duration::from_millis(number),
                _ => return Err(ScalarError::Form),
            };
            pairs += 1;
            rest = tail;
        }
        match pairs {
            0 => Err(ScalarError::Form),
            _ if total > Self::MAX => Err(ScalarError::Bound),
            _ => Ok(total),
        }
    }
}

impl ByteSize {
    /// Parses the text into bytes; more than 0 and at most [`rules::BODY_MAX_BYTES`].
    pub fn parse(&self) -> Result<u64, ScalarError> {
        let digits = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = self.0.split_at(digits);
        if !(1..=12).contains(&digits) {
            return Err(ScalarError::Form);
        }
        let factor: u64 = match unit {
            "" => 1,
            "k" => 1000,
            "M" => 1_000_000,
            "G" => 1_000_000_000,
            "Ki" => 1 << 10,
            "Mi" => 1 << 20,
            "Gi" => 1 << 30,
            _ => return Err(ScalarError::Form),
        };
        let number: u64 = number.parse().map_err(|_| ScalarError::Form)?;
        match number.checked_mul(factor) {
            Some(bytes) if (1..=rules::BODY_MAX_BYTES).contains(&bytes) => Ok(bytes),
            _ => Err(ScalarError::Bound),
        }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    /// Takes an integer or a text, as the schema does (`int-or-string`). What it means is for [`ByteSize::parse`] to say.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IntOrString;
        impl Visitor<'_> for IntOrString {
            type Value = ByteSize;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size in bytes, such as 10Mi or 1048576")
            }
            fn visit_u64<E>(self, number: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(number.to_string()))
            }
            fn visit_i64<E>(self, number: i64) -> Result<ByteSize, E> {
                Ok(ByteSize(number.to_string()))
            }
            fn visit_str<E>(self, text: &str) -> Result<ByteSize, E> {
                Ok(ByteSize(text.to_owned()))
            }
        }
        deserializer.deserialize_any(IntOrString)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string", "pattern": DURATION_PATTERN, "maxLength": 32,
            "x-kubernetes-validations": [{"rule": rules::DURATION_BOUND.0, "message": rules::DURATION_BOUND.1}],
        })
    }
}

impl JsonSchema for ByteSize {
    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true, "pattern": SIZE_PATTERN, "maxLength": 16,
            "x-kubernetes-validations": [{"rule": rules::BODY_BOUND.0, "message": rules::BODY_BOUND.1}],
        })
    }
}
