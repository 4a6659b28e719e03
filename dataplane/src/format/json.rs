//! Finds the few members of JSON texts that matter.
//!
//! It builds nothing: no allocation, no recursion, and a member of an unexpected shape hides no other. Members are found at the level that is asked
//! for, so neither the text inside strings nor a model's own JSON deeper down is taken for the provider's word. Texts that break off yield the
//! members that are whole.

use memchr::memmem::Finder;
use memchr::{memchr, memchr2};
use std::borrow::Cow;

/// Key (as it stands between its quotes) and raw value of each member of an object; none where `text` is no object.
pub(super) fn members(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut rest = text.trim_ascii_start().strip_prefix(b"{");
    std::iter::from_fn(move || {
        let text = rest.take()?.trim_ascii_start();
        let end = string_end(text)?;
        let (key, behind) = (text.get(1..end - 1)?, text.get(end..)?);
        let (value, behind) = value(behind.trim_ascii_start().strip_prefix(b":")?)?;
        rest = behind.trim_ascii_start().strip_prefix(b",");
        Some((key, value))
    })
}

/// The raw value of each element of an array; none where `text` is no array.
pub(super) fn elements(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text.trim_ascii_start().strip_prefix(b"[");
    std::iter::from_fn(move || {
        let (value, behind) = value(rest.take()?)?;
        rest = behind.trim_ascii_start().strip_prefix(b",");
        Some(value)
    })
}

/// The raw value of a member of an object.
pub(super) fn member<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    members(text).filter(|(key, _)| *key == name).last().map(|(_, value)| value)
}

/// What stands between the quotes of each string of a text, and whether it is a key. Ends with the first one that breaks off.
pub(super) fn strings(text: &[u8]) -> impl Iterator<Item = (&[u8], bool)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let begun = rest.get(memchr(b'"', rest)?..)?;
        let end = string_end(begun)?;
        rest = begun.get(end..)?;
        Some((begun.get(1..end - 1)?, rest.trim_ascii_start().first() == Some(&b':')))
    })
}

/// Whether a key, as it stands between its quotes, is this name: escapes do not hide it.
pub(super) fn is_named(key: &[u8], name: &str) -> bool {
    if !key.contains(&b'\\') {
        return key == name.as_bytes();
    }
    let quoted = [b"\"", key, b"\""].concat();
    serde_json::from_slice::<Cow<'_, str>>(&quoted).is_ok_and(|key| key == name)
}

/// A whole number that is not negative. Anything else, a null too, is none.
pub(super) fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// What stands between the quotes of a string, escapes as they are; empty for anything else.
pub(super) fn text(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or_default()
}

/// Whether a value says something: neither null nor false nor an empty string. SDKs look at errors like this.
pub(super) fn is_something(value: &[u8]) -> bool {
    !matches!(value, b"null" | b"false" | b"\"\"")
}

/// Whether `text` is an object to its last byte.
pub(super) fn is_whole(text: &[u8]) -> bool {
    text.starts_with(b"{") && nested_end(text) == Some(text.len())
}

/// Whether the quoted word that `finder` looks for stands anywhere as a value, or as a key that `passes` by its value; the value is given from its
/// first byte to the end of `json`. Inside a string the quotes would be escaped, so text that a model made is not found.
pub(super) fn stands(finder: &Finder<'_>, json: &[u8], passes: impl Fn(&[u8]) -> bool) -> bool {
    finder.find_iter(json).any(|at| match behind_colon(json, at + finder.needle().len()) {
        None => true,
        Some(value) => passes(value),
    })
}

/// The number behind the key that `finder` looks for, wherever it first stands.
pub(super) fn number_at(finder: &Finder<'_>, text: &[u8]) -> Option<u64> {
    let at = finder.find(text)?;
    let value = behind_colon(text, at + finder.needle().len())?;
    let end = value.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(value.len());
    number(value.get(..end)?)
}

/// What stands behind the colon that follows a key, which ends at `at`; `None`: none does.
pub(super) fn behind_colon(text: &[u8], at: usize) -> Option<&[u8]> {
    Some(text.get(at..)?.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start())
}

/// What stands between the quotes of the string that `text` begins with; `None`: it is another value, or breaks off.
pub(super) fn leading_text(text: &[u8]) -> Option<&[u8]> {
    text.get(1..string_end(text)? - 1)
}

/// Splits behind the value that `text` begins with, white space before it left out.
fn value(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = text.trim_ascii_start();
    let end = match text.first()? {
        b'"' => string_end(text)?,
        b'{' | b'[' => nested_end(text)?,
        b',' | b'}' | b']' => return None,
        _ => text.iter().position(|byte| matches!(byte, b',' | b'}' | b']') || byte.is_ascii_whitespace())?,
    };
    text.split_at_checked(end)
}

/// Where the string that `text` begins with ends, its second quote included.
fn string_end(text: &[u8]) -> Option<usize> {
    let mut at = usize::from(text.starts_with(b"\""));
    if at == 0 {
        return None;
    }
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        match text.get(at)? {
            b'"' => return Some(at + 1),
            _ => at += 2,
        }
    }
}

/// Where the object or array that `text` begins with ends.
fn nested_end(text: &[u8]) -> Option<usize> {
    let (mut at, mut depth) = (0, 0_usize);
    loop {
        match text.get(at)? {
            b'"' => {
                at += string_end(text.get(at..)?)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}
