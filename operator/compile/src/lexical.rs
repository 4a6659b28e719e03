//! Forms of names, as Kubernetes and HTTP define them.

/// The longest name of an object or of a key in a Secret, in characters.
const NAME_MAX: usize = 253;
/// The longest DNS label, label value or name part of a label key, in characters.
const LABEL_MAX: usize = 63;

/// Whether `text` has between `min` and `max` characters; the API server counts characters, not bytes.
pub(crate) fn has_length(text: &str, min: usize, max: usize) -> bool {
    (min..=max).contains(&text.chars().count())
}

/// A DNS label of RFC 1123, lower case: `^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`, at most 63.
pub(crate) fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    has_edges(text, inner) && text.len() <= LABEL_MAX && text.bytes().all(|b| inner(b) || b == b'-')
}

/// A DNS subdomain of RFC 1123, lower case: labels joined by dots, at most 253. The names of Kubernetes objects.
pub(crate) fn is_object_name(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let is_part = |part: &str| has_edges(part, inner) && part.bytes().all(|b| inner(b) || b == b'-');
    text.len() <= NAME_MAX && text.split('.').all(is_part)
}

/// A key in the data of a Secret.
pub(crate) fn is_data_key(text: &str) -> bool {
    (1..=NAME_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}

/// Letters, digits and `-`, at least one and at most `max`: the tokens of RFC 9110 that header names and schemes are made of in practice.
pub(crate) fn is_token(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// A header's name as routes may write it: letters, digits, `-` and `_`, 1 to 128 of them.
pub(crate) fn is_header_name(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// The key of a label: `name` or `dns.subdomain/name`.
pub(crate) fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_object_name(prefix) && is_qualified(name),
        None => is_qualified(text),
    }
}

/// The value of a label; empty is allowed.
pub(crate) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_qualified(text)
}

fn is_qualified(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric();
    has_edges(text, inner)
        && text.len() <= LABEL_MAX
        && text.bytes().all(|b| inner(b) || matches!(b, b'-' | b'_' | b'.'))
}

/// Not empty, and the first and the last byte are `inner`.
fn has_edges(text: &str, inner: impl Fn(u8) -> bool) -> bool {
    match text.as_bytes() {
        [] => false,
        [only] => inner(*only),
        [first, .., last] => inner(*first) && inner(*last),
    }
}

#[cfg(test)]
mod tests;
