//! What is wrong with an object, for the person who wrote it.

use relay_crds::reason;
use std::fmt;

/// A fault of one object: data, shown as a condition; never an error of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Reason of the condition, one of [`relay_crds::reason`].
    pub reason: &'static str,
    /// The field at fault, such as `spec.backends[0].url`.
    pub field: String,
    /// What is wrong and how to cure it, without the field. No part of a secret.
    pub message: String,
}

impl Problem {
    /// A fault of the object in itself.
    pub(crate) fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason: reason::INVALID, field: field.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Refuses the field `at` + `leaf` unless `fine`.
pub(crate) fn ensure(fine: bool, at: &str, leaf: &str, message: &str) -> Result<(), Problem> {
    if fine { Ok(()) } else { Err(Problem::invalid(format!("{at}{leaf}"), message)) }
}

/// Refuses the list `at` unless it has between `min` and `max` items.
pub(crate) fn ensure_length(length: usize, min: usize, max: usize, at: &str) -> Result<(), Problem> {
    match length {
        _ if length < min => Err(Problem::invalid(at, format!("is empty: at least {min} must be set"))),
        _ if length > max => {
            Err(Problem::invalid(at, format!("has {length} entries: at most {max} are allowed, split the object")))
        }
        _ => Ok(()),
    }
}

/// Refuses the first item of the list `at` that an earlier one equals; `leaf` is the part of the item that must differ.
pub(crate) fn ensure_distinct<T: PartialEq>(items: &[T], at: &str, leaf: &str) -> Result<(), Problem> {
    let twin = (1..items.len()).find(|&later| items[..later].contains(&items[later]));
    match twin {
        Some(index) => {
            Err(Problem::invalid(format!("{at}[{index}]{leaf}"), "is listed twice: remove it or change one of the two"))
        }
        None => Ok(()),
    }
}
